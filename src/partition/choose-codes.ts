import type { Costs } from "./cost.ts";
import { minimise, type Order, type PairCost } from "./eliminate.ts";
import type { NetworkNode } from "./graph.ts";

/** The best plan that gives each node one of its codes. Equal edges between the same lists of codes share a table. */
export function chooseFrom(costs: Costs, domains: readonly (readonly number[])[], order: Order): number[] {
  const unary = domains.map((domain, v) => Float64Array.from(domain, (code) => costs.unary(v, code)));
  const tables = new Map<number, { readonly a: object; readonly b: object; readonly table: Float64Array }>();
  const pairs = costs.network.edges.map(({ from, to }, e): PairCost => {
    const [a, b] = [domains[from] as readonly number[], domains[to] as readonly number[]];
    const kind = costs.edgeKinds[e] as number;
    const known = tables.get(kind);
    if (known?.a === a && known.b === b) return { a: from, b: to, table: known.table };
    const table = new Float64Array(a.length * b.length);
    for (let i = 0; i < a.length; i++) {
      for (let j = 0; j < b.length; j++) {
        table[i * b.length + j] = costs.edge(e, a[i] as number, b[j] as number);
      }
    }
    tables.set(kind, { a, b, table });
    return { a: from, b: to, table };
  });
  const values = minimise(unary, pairs, [...order.sequence, ...order.frozen]);
  return values.map((value, v) => (domains[v] as readonly number[])[value] as number);
}

/** Whether a node can have these types at so many levels. */
export function possible(node: NetworkNode, digits: number, window: number): boolean {
  let rest = digits;
  for (let i = 0; i < window; i++) {
    if (node.ways[(rest % 3) as 0 | 1 | 2] === null) return false;
    rest = Math.floor(rest / 3);
  }
  return true;
}
