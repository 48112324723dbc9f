import { Extent } from "./extent.ts";
import type { WorkGraph } from "./work-graph.ts";

/** Nodes of a work graph in a row: places [from, to). */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Cuts a graph into runs of nodes that each take at most `budget` bytes, one node at least.
 *
 * As many nodes as fit are taken from the front, and of the places where they may end one is chosen: where no nodes
 * are parted that the runtime computes together, so that every segment rounds as the whole does; then, in the second
 * half of the budget, where the fewest bytes pass on. No cut is made where something other than tensors passes.
 *
 * @param outputs names that are read after the last node
 */
export function cutGraph(graph: WorkGraph, outputs: ReadonlySet<string>, budget: number): Range[] {
  const places = placesOf(graph);
  const ranges: Range[] = [];
  for (let from = 0; from < graph.nodes.length; ) {
    const to = nextCut(graph, places, outputs, budget, from);
    ranges.push({ from, to });
    from = to;
  }
  return ranges;
}

/** What a cut before each node would part. */
interface Places {
  /** Pairs of nodes that the runtime may compute together. */
  readonly fused: readonly number[];
  /** Bytes that pass on. */
  readonly bytes: readonly number[];
  /** Values that cannot pass. */
  readonly bound: readonly number[];
}

function placesOf({ nodes, values }: WorkGraph): Places {
  const count = nodes.length;
  const [fused, bytes, bound] = [0, 1, 2].map(() => new Array<number>(count + 1).fill(0)) as [
    number[],
    number[],
    number[],
  ];
  const mark = (sums: number[], producer: number, last: number, amount: number) => {
    sums[producer + 1]! += amount;
    sums[last + 1]! -= amount;
  };
  for (const { producer, consumers, fused: pairs, bytes: size, carried } of values.values()) {
    const last = consumers.at(-1);
    if (producer < 0 || last === undefined) continue;
    mark(bytes, producer, last, size);
    if (!carried) mark(bound, producer, last, 1);
    for (const consumer of pairs) mark(fused, producer, consumer, 1);
  }
  for (const sums of [fused, bytes, bound]) {
    for (let i = 1; i <= count; i++) sums[i]! += sums[i - 1]!;
  }
  return { fused, bytes, bound };
}

function nextCut(
  graph: WorkGraph,
  { fused, bytes, bound }: Places,
  outputs: ReadonlySet<string>,
  budget: number,
  from: number,
): number {
  const count = graph.nodes.length;
  const extent = new Extent(graph, from, outputs);
  let best: { to: number; rank: readonly [number, number, number] } | null = null;
  for (let to = from + 1; to <= count; to++) {
    const taken = extent.grow();
    if (taken > budget && best !== null) break;
    if (to === count) return count;
    if (bound[to]! > 0) continue;
    const isLarge = taken >= budget / 2;
    const rank = [fused[to]! > 0 ? 1 : 0, isLarge ? 0 : 1, isLarge ? bytes[to]! : -to] as const;
    if (best === null || !isBefore(best.rank, rank)) best = { to, rank };
  }
  return best?.to ?? count;
}

/**
 * Pairs of nodes that the runtime may compute together and that lie in different ranges. Without any the ranges answer
 * as the whole graph does, to the bit.
 */
export function partedPairs({ values }: WorkGraph, ranges: readonly Range[]): number {
  const rangeOf = (place: number) => ranges.findLastIndex(({ from }) => from <= place);
  let parted = 0;
  for (const { producer, fused } of values.values()) {
    parted += fused.filter((consumer) => rangeOf(consumer) !== rangeOf(producer)).length;
  }
  return parted;
}

/** Whether one rank is better than another. */
function isBefore(one: readonly number[], other: readonly number[]): boolean {
  const differing = one.findIndex((figure, i) => figure !== other[i]);
  return differing >= 0 && one[differing]! < other[differing]!;
}
