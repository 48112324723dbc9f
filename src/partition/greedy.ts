import type { Costs } from "./cost.ts";
import { eliminationOrder, minimise, type PairCost } from "./eliminate.ts";
import type { NetworkNode } from "./graph.ts";
import type { TypeIndex } from "./layout.ts";

/** The types that a scheme may give a node, best known order first. */
export type Allowed = (node: NetworkNode) => readonly TypeIndex[];

/** Schemes of the literature. Joins follow the layers around them. */
export const SCHEMES = {
  /** Everything by batch. */
  data_parallel: () => [0],
  /** Krizhevsky, One Weird Trick (2014): convolutions by batch, fully connected layers by model. */
  owt: (node) => (node.kind === "dense" ? [1] : node.kind === "convolution" ? [0] : [0, 1, 2]),
  /** Song et al., HyPar (HPCA 2019): types I and II. */
  hypar: (node) => (node.kind === "join" ? [0, 1, 2] : [0, 1]),
  /** Song et al., AccPar (HPCA 2020): all three. */
  accpar: () => [0, 1, 2],
} as const satisfies Record<string, Allowed>;

export type Scheme = keyof typeof SCHEMES;

/**
 * Top-down recursion of HyPar and AccPar: the best types of the outermost level by dynamic programming, then the next
 * level with the tensors as that one has left them, and so on.
 */
export function greedy(costs: Costs, allowed: Allowed): number[] {
  const { nodes, edges } = costs.network;
  const choices = nodes.map((node) => {
    const possible = allowed(node).filter((type) => node.ways[type] !== null);
    if (possible.length > 0) return possible;
    return ([0, 1, 2] as const).filter((type) => node.ways[type] !== null);
  });
  const order = eliminationOrder(
    nodes.length,
    edges.map(({ from, to }) => ({ a: from, b: to })),
    MAX_WIDTH,
  );
  const frozen = new Set(order.frozen);
  let codes = nodes.map(() => 0);
  for (let level = 0; level < costs.depth; level++) {
    const domains = choices.map((types, v) => (frozen.has(v) ? types.slice(0, 1) : types));
    const unary = domains.map((types, v) =>
      Float64Array.from(types, (type) => costs.levelUnary(v, level, codes[v] as number, type)),
    );
    const pairs = edges.map(({ from, to }, e): PairCost => {
      const [a, b] = [domains[from] as TypeIndex[], domains[to] as TypeIndex[]];
      const table = a.flatMap((s) => b.map((t) => costs.levelEdge(e, level, codes[to] as number, s, t)));
      return { a: from, b: to, table: Float64Array.from(table) };
    });
    const values = minimise(unary, pairs, [...order.sequence, ...order.frozen]);
    codes = codes.map((code, v) => code * 3 + ((domains[v] as TypeIndex[])[values[v] as number] as number));
  }
  return codes;
}

/** 3^10 entries in the largest table. */
const MAX_WIDTH = 10;

/** Cost of a whole plan. */
export function totalCost(costs: Costs, codes: readonly number[]): number {
  let total = 0;
  for (let v = 0; v < codes.length; v++) total += costs.unary(v, codes[v] as number);
  for (const [e, { from, to }] of costs.network.edges.entries()) {
    total += costs.edge(e, codes[from] as number, codes[to] as number);
  }
  return total;
}
