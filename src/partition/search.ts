import { chooseFrom, possible } from "./choose-codes.ts";
import type { Costs } from "./cost.ts";
import { Crossing } from "./crossing.ts";
import { eliminationOrder, type Order } from "./eliminate.ts";
import type { NetworkEdge } from "./graph.ts";
import { greedy, SCHEMES, totalCost } from "./greedy.ts";
import { choosePatterns } from "./patterns.ts";
import { type Block, decompose, isChain, nodesOf, stretchOf } from "./series-parallel.ts";
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
  const whole = decompose(nodes.length, edges);
  const affordable = nodes.length <= longestSweep(costs, limits);
  if (whole && affordable && isChain(whole)) {
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
  if (whole && affordable) {
    const rough = improved(costs, crossing, order, [], { ...limits, ...ROUGH });
    const cost = totalCost(costs, rough);
    if (cost > hopeful) return rough;
    const found = solveBlocks(costs, crossing, whole, cost, limits.blocks);
    if (found === "nothing better") return rough;
    if (found !== "too large") return found;
  }
  const offered = whole ? codesOfStretches(costs, crossing, whole, limits) : [];
  return improved(costs, crossing, order, offered, limits);
}

/** Nodes that one exact sweep can remember. */
function longestSweep(costs: Costs, limits: SearchLimits): number {
  return Math.floor(limits.sweepBytes / (costs.codes * costs.depth));
}

/** Parts of a large network that are solved exactly, so that the rest can be offered what they chose. */
const STRETCHES = 4;

/** The codes that exact solutions of a few stretches of a long series use. */
function codesOfStretches(costs: Costs, crossing: Crossing, whole: Block, limits: SearchLimits): number[] {
  if (whole.kind !== "series") return [];
  const { steps } = limits.blocks;
  const affordable = Math.floor(steps / (3 * costs.depth * costs.codes) / STRETCHES);
  const length = Math.min(longestSweep(costs, limits), affordable, whole.nodes.length);
  if (length < 2) return [];
  const found = new Set<number>();
  for (let i = 0; i < STRETCHES; i++) {
    const first = Math.floor(((whole.nodes.length - length) * i) / (STRETCHES - 1));
    const part = stretchOf(whole, first, length);
    const share = { ...limits.blocks, steps: steps / STRETCHES };
    const solved = solveBlocks(costs, crossing, part, Number.POSITIVE_INFINITY, share);
    if (typeof solved !== "string") for (const v of nodesOf(part)) found.add(solved[v] as number);
  }
  return [...found];
}

/**
 * Starts from the best of the greedy schemes, of simple patterns and of offered codes, and improves by turns, several
 * levels of all nodes at once and all levels of one path at once, each step exact, until nothing improves.
 */
function improved(
  costs: Costs,
  crossing: Crossing,
  order: Order,
  offered: readonly number[],
  limits: SearchLimits,
): number[] {
  const { nodes, edges } = costs.network;
  const starts = Object.values(SCHEMES).map((allowed) => greedy(costs, allowed));
  const best = starts.reduce((a, b) => (totalCost(costs, b) < totalCost(costs, a) ? b : a));
  const paths = pathCover(costs, incidentEdges(nodes.length, edges), limits);
  const window = widestWindow(costs, order, limits);
  let codes = better(costs, best, choosePatterns(costs, [...starts, best], offered, order, limits));
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

/** Paths that can be swept, such that every node lies on one; none where a sweep would be too large. */
function pathCover(costs: Costs, incident: readonly (readonly number[])[], limits: SearchLimits): number[][] {
  const { nodes, edges } = costs.network;
  const longest = longestSweep(costs, limits);
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
