import type { Costs } from "./cost.ts";
import { Crossing } from "./crossing.ts";
import { eliminationOrder, minimise, type Order, type PairCost } from "./eliminate.ts";
import type { NetworkEdge, NetworkNode } from "./graph.ts";
import { greedy, SCHEMES, totalCost } from "./greedy.ts";
import { decompose, isChain } from "./series-parallel.ts";
import { type BlockLimits, solveBlocks } from "./solve-blocks.ts";
import { extendsPath, sweepPath } from "./sweep.ts";

/** What a search may use; the defaults keep a plan of 200 layers on 256 devices under a second. */
export interface SearchLimits {
  /** Entries that one path sweep may remember, in bytes. */
  readonly sweepBytes: number;
  /** For the exact solution of a series-parallel network. */
  readonly blocks: BlockLimits;
  /** Nodes × codes × levels up to which paths of a graph that is no chain are swept. */
  readonly sweepSteps: number;
  /** Entries of the largest table, and steps, of one joint elimination. */
  readonly tableEntries: number;
  readonly eliminationSteps: number;
  /** The same for one elimination that ends the search, because nothing can be better. */
  readonly exactSteps: number;
  /** The same for the choice among patterns. */
  readonly patternSteps: number;
  readonly rounds: number;
}

export const DEFAULT_LIMITS: SearchLimits = {
  sweepBytes: 40_000_000,
  blocks: { steps: 200_000_000, numbers: 5_000_000 },
  sweepSteps: 4_000_000,
  tableEntries: 1_000_000,
  eliminationSteps: 300_000,
  exactSteps: 100_000_000,
  patternSteps: 10_000_000,
  rounds: 4,
};

/** For one search that may take a second or two. */
export const THOROUGH_LIMITS: SearchLimits = {
  ...DEFAULT_LIMITS,
  blocks: { steps: 10_000_000_000, numbers: 5_000_000 },
  sweepSteps: 100_000_000,
  eliminationSteps: 20_000_000,
  patternSteps: 30_000_000,
};

/**
 * Types for every node and level, searched over all levels jointly. Exact for chains, for any graph narrow enough to
 * eliminate all levels at once, and for series-parallel graphs (forks that join again, skips) as far as the limits
 * reach. For everything else, and as a bound for the exact solution, plans that are never worse than the greedy schemes.
 *
 * @param hopeful cost above which a first rough plan is not worth a better one
 */
export function searchTypes(
  costs: Costs,
  limits: SearchLimits = DEFAULT_LIMITS,
  hopeful = Number.POSITIVE_INFINITY,
): number[] {
  const { nodes, edges } = costs.network;
  if (costs.depth === 0 || nodes.length === 0) return nodes.map(() => 0);
  const crossing = new Crossing(costs);
  const kept = nodes.length * costs.codes * costs.depth;
  const whole = kept <= limits.sweepBytes ? decompose(nodes.length, edges) : null;
  if (whole && isChain(whole)) {
    const found = solveBlocks(costs, crossing, whole, Number.POSITIVE_INFINITY, limits.blocks);
    if (typeof found !== "string") return found;
  }
  const order = eliminationOrder(
    nodes.length,
    edges.map(({ from, to }) => ({ a: from, b: to })),
    Math.floor(Math.log(limits.tableEntries) / Math.log(3)),
  );
  if (order.frozen.length === 0 && eliminates(costs, order, costs.depth, limits.exactSteps, limits)) {
    return improveLevels(
      costs,
      nodes.map(() => 0),
      0,
      costs.depth,
      order,
    );
  }
  if (whole) {
    const rough = improved(costs, crossing, order, { ...limits, ...ROUGH });
    const cost = totalCost(costs, rough);
    if (cost > hopeful) return rough;
    const found = solveBlocks(costs, crossing, whole, cost, limits.blocks);
    if (found === "nothing better") return rough;
    if (found !== "too large") return found;
  }
  return improved(costs, crossing, order, limits);
}

/**
 * Starts from the best of the greedy schemes and of simple patterns, and improves by turns, several levels of all
 * nodes at once and all levels of one path at once, each step exact, until nothing improves.
 */
function improved(costs: Costs, crossing: Crossing, order: Order, limits: SearchLimits): number[] {
  const { nodes, edges } = costs.network;
  const starts = Object.values(SCHEMES).map((allowed) => greedy(costs, allowed));
  const best = starts.reduce((a, b) => (totalCost(costs, b) < totalCost(costs, a) ? b : a));
  const paths = pathCover(costs, incidentEdges(nodes.length, edges), limits);
  const window = widestWindow(costs, order, limits);
  let codes = better(costs, best, choosePatterns(costs, starts, best, order, limits));
  let cost = totalCost(costs, codes);
  const swept = nodes.length * costs.codes * costs.depth <= limits.sweepSteps ? paths : [];
  for (let round = 0; round < limits.rounds; round++) {
    const before = cost;
    for (let first = 0; first === 0 || first + window <= costs.depth; first += Math.ceil(window / 2)) {
      const start = Math.max(0, Math.min(first, costs.depth - window));
      codes = better(costs, codes, improveLevels(costs, codes, start, window, order));
    }
    for (const path of swept) codes = better(costs, codes, sweepPath(costs, crossing, path, codes));
    cost = totalCost(costs, codes);
    if (!(cost < before * (1 - MEANINGFUL))) break;
  }
  return codes;
}

/** Enough of a bound for the exact solution. */
const ROUGH = { patternSteps: 1_000_000, rounds: 1 };

/** A round that gains less than this part of the cost is the last. */
const MEANINGFUL = 1e-3;

function better(costs: Costs, current: number[], candidate: number[]): number[] {
  return totalCost(costs, candidate) < totalCost(costs, current) ? candidate : current;
}

/** How many levels can be eliminated jointly within the limits. */
function widestWindow(costs: Costs, order: Order, limits: SearchLimits): number {
  let window = 1;
  while (window < costs.depth && eliminates(costs, order, window + 1, limits.eliminationSteps, limits))
    window++;
  return window;
}

/** Whether so many levels of all nodes can be eliminated jointly in so many steps. */
function eliminates(
  costs: Costs,
  order: Order,
  levels: number,
  steps: number,
  limits: SearchLimits,
): boolean {
  const { nodes, edges } = costs.network;
  const domain = 3 ** levels;
  return (
    domain <= 60_000 &&
    domain ** order.width <= limits.tableEntries &&
    domain ** (order.width + 1) * nodes.length <= steps &&
    domain * domain * edges.length * costs.depth <= steps
  );
}

/** Best types of the levels [first, first + window) of all nodes at once, the other levels held. */
function improveLevels(
  costs: Costs,
  codes: readonly number[],
  first: number,
  window: number,
  order: Order,
): number[] {
  const frozen = new Set(order.frozen);
  const low = 3 ** (costs.depth - first - window);
  const span = 3 ** window;
  const domains = costs.network.nodes.map((node, v) => {
    const code = codes[v] as number;
    if (frozen.has(v)) return [code];
    const middle = Math.floor(code / low) % span;
    const all = Array.from({ length: span }, (_, digits) => digits).filter((digits) =>
      possible(node, digits, window),
    );
    return all.map((digits) => code + (digits - middle) * low);
  });
  return chooseFrom(costs, domains, order);
}

/**
 * Best plan in which every node has one type at the outer levels and one at the inner levels, or what one of the
 * starts gives it: few codes a node, so that all levels of all nodes are chosen at once.
 */
function choosePatterns(
  costs: Costs,
  starts: readonly (readonly number[])[],
  best: readonly number[],
  order: Order,
  limits: SearchLimits,
): number[] {
  const { nodes, edges } = costs.network;
  const frozen = new Set(order.frozen);
  const most = Math.floor(
    Math.min(
      (limits.patternSteps / nodes.length) ** (1 / (order.width + 1)),
      limits.tableEntries ** (1 / Math.max(1, order.width)),
      Math.sqrt(limits.patternSteps / (4 * Math.max(1, edges.length) * costs.depth)),
    ),
  );
  const patterns = patternsOf(costs.depth, most - starts.length);
  const domains = nodes.map((node, v) => {
    if (frozen.has(v)) return [best[v] as number];
    const own = [...starts.map((codes) => codes[v] as number), ...patterns];
    return [...new Set(own)].filter((code) => possible(node, code, costs.depth));
  });
  return chooseFrom(costs, domains, order);
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

/** The best plan that gives each node one of its codes. */
function chooseFrom(costs: Costs, domains: readonly (readonly number[])[], order: Order): number[] {
  const { edges } = costs.network;
  const unary = domains.map((domain, v) => Float64Array.from(domain, (code) => costs.unary(v, code)));
  const pairs = edges.map(({ from, to }, e): PairCost => {
    const [a, b] = [domains[from] as readonly number[], domains[to] as readonly number[]];
    const table = new Float64Array(a.length * b.length);
    for (let i = 0; i < a.length; i++) {
      for (let j = 0; j < b.length; j++) {
        table[i * b.length + j] = costs.edge(e, a[i] as number, b[j] as number);
      }
    }
    return { a: from, b: to, table };
  });
  const values = minimise(unary, pairs, [...order.sequence, ...order.frozen]);
  return values.map((value, v) => (domains[v] as readonly number[])[value] as number);
}

function possible(node: NetworkNode, digits: number, window: number): boolean {
  let rest = digits;
  for (let i = 0; i < window; i++) {
    if (node.ways[(rest % 3) as 0 | 1 | 2] === null) return false;
    rest = Math.floor(rest / 3);
  }
  return true;
}

/** Paths that can be swept, such that every node lies on one; none where a sweep would be too large. */
function pathCover(costs: Costs, incident: readonly (readonly number[])[], limits: SearchLimits): number[][] {
  const { nodes, edges } = costs.network;
  const longest = Math.floor(limits.sweepBytes / (costs.codes * costs.depth));
  if (longest < 2 || nodes.length * costs.codes * costs.depth > limits.sweepBytes * 1.5) return [];
  const covered = new Set<number>();
  const paths: number[][] = [];
  for (let start = 0; start < nodes.length; start++) {
    if (covered.has(start)) continue;
    const path = [start];
    while (path.length < longest) {
      const last = path[path.length - 1] as number;
      const next = (incident[last] as number[])
        .map((e) => edges[e] as NetworkEdge)
        .filter(({ from, to }) => from === last && to !== last)
        .map(({ to }) => to)
        .find((to) => !path.includes(to) && extendsPath(edges, incident, path, to));
      if (next === undefined) break;
      path.push(next);
    }
    for (const v of path) covered.add(v);
    paths.push(path);
  }
  return paths;
}

function incidentEdges(count: number, edges: readonly NetworkEdge[]): number[][] {
  const incident = Array.from({ length: count }, (): number[] => []);
  for (const [e, { from, to }] of edges.entries()) {
    incident[from]?.push(e);
    if (to !== from) incident[to]?.push(e);
  }
  return incident;
}
