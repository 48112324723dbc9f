import { chooseFrom, possible } from "./choose-codes.ts";
import type { Costs } from "./cost.ts";
import type { Order } from "./eliminate.ts";
import type { NetworkNode } from "./graph.ts";

/**
 * Best plan in which every node has one type at the outer levels and one at the inner levels, an offered code, or what
 * one of the starts gives its kind: few codes a node, so that all levels of all nodes are chosen at once. Frozen nodes keep the last start's.
 */
export function choosePatterns(
  costs: Costs,
  starts: readonly (readonly number[])[],
  offered: readonly number[],
  order: Order,
  limits: PatternLimits,
): number[] {
  const { nodeKinds, edgeKinds } = costs;
  const { nodes } = costs.network;
  const kept = starts.at(-1) as readonly number[];
  const frozen = new Set(order.frozen);
  const most = Math.floor(
    Math.min(
      (limits.patternSteps / nodes.length) ** (1 / (order.width + 1)),
      limits.tableEntries ** (1 / Math.max(1, order.width)),
      Math.sqrt(limits.patternSteps / (4 * Math.max(1, new Set(edgeKinds).size) * costs.depth)),
    ),
  );
  const own = new Map<number, Set<number>>();
  for (const [v, kind] of nodeKinds.entries()) {
    const codes = own.get(kind) ?? new Set<number>();
    for (const start of starts) codes.add(start[v] as number);
    own.set(kind, codes);
  }
  const patterns = patternsOf(costs.depth, most - starts.length - offered.length);
  const domainOf = new Map<number, readonly number[]>();
  for (const [v, kind] of nodeKinds.entries()) {
    if (domainOf.has(kind)) continue;
    const codes = [...new Set([...(own.get(kind) as Set<number>), ...offered, ...patterns])].slice(
      0,
      Math.max(most, starts.length),
    );
    domainOf.set(
      kind,
      codes.filter((code) => possible(nodes[v] as NetworkNode, code, costs.depth)),
    );
  }
  const domains = nodeKinds.map((kind, v) =>
    frozen.has(v) ? [kept[v] as number] : (domainOf.get(kind) as readonly number[]),
  );
  return chooseFrom(costs, domains, order);
}

/** Steps of the choice, and entries of its largest table. */
export interface PatternLimits {
  readonly patternSteps: number;
  readonly tableEntries: number;
}

/** Codes with at most one change of type on the way down; fewer places for the change where that is too many. */
function patternsOf(depth: number, most: number): number[] {
  for (let step = 1; ; step++) {
    const found = new Set<number>();
    for (let outer = 0; outer < 3; outer++) {
      for (let inner = 0; inner < 3; inner++) {
        for (let change = step; change <= depth; change += step) {
          let code = 0;
          for (let level = 0; level < depth; level++) code = code * 3 + (level < change ? outer : inner);
          found.add(code);
        }
      }
    }
    if (found.size <= most || step > depth) return [...found].slice(0, Math.max(0, most));
  }
}
