/**
 * Two-terminal series-parallel decomposition of a directed graph (Valdes, Tarjan and Lawler 1982): chains, forks that
 * join again, skips, and all of these inside each other.
 */
export type Block =
  /** Edges from one node to another; none where an end is the source or the sink that every graph is given. */
  | { readonly kind: "arc"; readonly from: number; readonly to: number; readonly edges: readonly number[] }
  /** blocks[0], nodes[0], blocks[1], …: one block more than nodes. */
  | {
      readonly kind: "series";
      readonly from: number;
      readonly to: number;
      readonly blocks: readonly Block[];
      readonly nodes: readonly number[];
    }
  | {
      readonly kind: "parallel";
      readonly from: number;
      readonly to: number;
      readonly branches: readonly Block[];
    };

/** The node in front of all nodes without a producer, and the one behind all without a consumer. */
export const SOURCE = -1;
export const SINK = -2;

/** The whole graph as one block from SOURCE to SINK; null where it is not series-parallel. */
export function decompose(
  count: number,
  edges: readonly { readonly from: number; readonly to: number }[],
): Block | null {
  const reduction = new Reduction();
  const [fed, read] = [new Set<number>(), new Set<number>()];
  for (const [e, { from, to }] of edges.entries()) {
    if (from === to) return null;
    fed.add(to);
    read.add(from);
    reduction.add({ kind: "arc", from, to, edges: [e] });
  }
  for (let v = 0; v < count; v++) {
    if (!fed.has(v)) reduction.add({ kind: "arc", from: SOURCE, to: v, edges: [] });
    if (!read.has(v)) reduction.add({ kind: "arc", from: v, to: SINK, edges: [] });
  }
  const waiting = Array.from({ length: count }, (_, v) => v);
  for (let v = waiting.shift(); v !== undefined; v = waiting.shift()) {
    waiting.push(...reduction.contract(v));
  }
  return reduction.whole();
}

/** Whether nothing parts and meets again. */
export function isChain(block: Block): boolean {
  return block.kind === "arc" || (block.kind === "series" && block.blocks.every(isChain));
}

/** So many nodes of a series from the one at index `first` on, with what lies between them, as a graph of their own. */
export function stretchOf(series: Block & { readonly kind: "series" }, first: number, length: number): Block {
  const nodes = series.nodes.slice(first, first + length);
  const [start, end] = [nodes[0] as number, nodes.at(-1) as number];
  return {
    kind: "series",
    from: SOURCE,
    to: SINK,
    nodes,
    blocks: [
      { kind: "arc", from: SOURCE, to: start, edges: [] },
      ...series.blocks.slice(first + 1, first + length),
      { kind: "arc", from: end, to: SINK, edges: [] },
    ],
  };
}

/** Every node of a block but its ends. */
export function nodesOf(block: Block): number[] {
  if (block.kind === "arc") return [];
  if (block.kind === "parallel") return block.branches.flatMap(nodesOf);
  return [...block.nodes, ...block.blocks.flatMap(nodesOf)];
}

class Reduction {
  /** Blocks by where they start, then by where they end: parallel ones are merged at once. */
  readonly #out = new Map<number, Map<number, Block>>();
  readonly #in = new Map<number, Set<number>>();

  add(block: Block): void {
    const { from, to } = block;
    const beside = this.#out.get(from) ?? new Map<number, Block>();
    this.#out.set(from, beside);
    const other = beside.get(to);
    beside.set(to, other ? parallel(other, block) : block);
    this.#in.set(to, (this.#in.get(to) ?? new Set()).add(from));
  }

  /** Makes a node with one block before and one behind it a part of a series; answers the nodes that may follow. */
  contract(v: number): number[] {
    const [before, behind] = [this.#in.get(v), this.#out.get(v)];
    if (before?.size !== 1 || behind?.size !== 1) return [];
    const [from] = before as Set<number> & Iterable<number>;
    const [to] = behind.keys();
    const first = this.#out.get(from as number)?.get(v) as Block;
    const second = behind.get(to as number) as Block;
    this.#out.get(from as number)?.delete(v);
    this.#out.delete(v);
    this.#in.delete(v);
    this.#in.get(to as number)?.delete(v);
    this.add(series(first, v, second));
    return [from as number, to as number].filter((node) => node >= 0);
  }

  whole(): Block | null {
    const [block] = this.#out.get(SOURCE)?.values() ?? [];
    const single = this.#out.get(SOURCE)?.size === 1 && this.#in.get(SINK)?.size === 1;
    return single && block?.to === SINK && this.#in.size === 1 ? block : null;
  }
}

function series(first: Block, middle: number, second: Block): Block {
  const [a, b] = [partsOf(first), partsOf(second)];
  return {
    kind: "series",
    from: first.from,
    to: second.to,
    blocks: [...a.blocks, ...b.blocks],
    nodes: [...a.nodes, middle, ...b.nodes],
  };
}

function partsOf(block: Block): { blocks: readonly Block[]; nodes: readonly number[] } {
  return block.kind === "series" ? block : { blocks: [block], nodes: [] };
}

function parallel(a: Block, b: Block): Block {
  const { from, to } = a;
  if (a.kind === "arc" && b.kind === "arc") return { kind: "arc", from, to, edges: [...a.edges, ...b.edges] };
  return { kind: "parallel", from, to, branches: [...branchesOf(a), ...branchesOf(b)] };
}

function branchesOf(block: Block): readonly Block[] {
  return block.kind === "parallel" ? block.branches : [block];
}
