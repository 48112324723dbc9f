import type { Costs } from "./cost.ts";
import type { NetworkEdge } from "./graph.ts";
import type { TypeIndex } from "./layout.ts";

/**
 * Best types of all levels at once for the nodes of one path, everything else held. With L levels a layer has 3^L
 * codes and a plain dynamic program would try 9^L pairs an edge; but what an edge costs at level h depends only on
 * the producer's type at h and the consumer's types down to h. So the edge is crossed level by level, outermost
 * first, replacing one digit of the producer's code by the consumer's: L·3^(L+1) steps, and still exact.
 */
export function sweepPath(costs: Costs, path: readonly number[], codes: readonly number[]): number[] {
  const { depth, network } = costs;
  const states = costs.codes;
  const position = new Map(path.map((v, i) => [v, i]));
  const choices: Uint8Array[][] = [];
  let cost: Float64Array = new Float64Array(states);
  let spare: Float64Array = new Float64Array(states);
  const edgesOf = incidence(network.edges, path);
  for (const [i, v] of path.entries()) {
    const inner = (edgesOf.get(v) ?? []).filter(
      (e) => position.get((network.edges[e] as NetworkEdge).from) === i - 1 && i > 0,
    );
    if (i > 0) {
      const crossed: Uint8Array[] = [];
      for (let level = 0; level < depth; level++) {
        crossed.push(crossLevel(costs, inner, level, cost, spare));
        [cost, spare] = [spare, cost];
      }
      choices.push(crossed);
    }
    const own = costs.unaryTable(v);
    for (let code = 0; code < states; code++) cost[code] = (cost[code] as number) + (own[code] as number);
    for (const e of edgesOf.get(v) ?? []) {
      const edge = network.edges[e] as NetworkEdge;
      if (edge.to === v && !position.has(edge.from)) addFromFixed(costs, e, codes[edge.from] as number, cost);
      if (edge.from === v && !position.has(edge.to)) addToFixed(costs, e, codes[edge.to] as number, cost);
    }
  }
  let code = 0;
  for (let other = 1; other < states; other++) {
    if ((cost[other] as number) < (cost[code] as number)) code = other;
  }
  const found = [...codes];
  for (let i = path.length - 1; i >= 0; i--) {
    found[path[i] as number] = code;
    if (i === 0) break;
    const crossed = choices[i - 1] as Uint8Array[];
    for (let level = depth - 1; level >= 0; level--) {
      const stride = 3 ** (depth - 1 - level);
      const digit = Math.floor(code / stride) % 3;
      code += ((crossed[level] as Uint8Array)[code] as number) * stride - digit * stride;
    }
  }
  return found;
}

/** Whether a path can be swept: no edge between its nodes but from each to the next. */
export function extendsPath(
  edges: readonly NetworkEdge[],
  incident: readonly (readonly number[])[],
  path: readonly number[],
  next: number,
): boolean {
  const last = path[path.length - 1];
  const members = new Set(path);
  return (incident[next] as readonly number[]).every((e) => {
    const { from, to } = edges[e] as NetworkEdge;
    const other = from === next ? to : from;
    return !members.has(other) || (from === last && to === next);
  });
}

/** new[p, t, r] = min over s of old[p, s, r] + edge(level; p, s, t). Answers which s gave each minimum. */
function crossLevel(
  costs: Costs,
  edges: readonly number[],
  level: number,
  from: Float64Array,
  to: Float64Array,
): Uint8Array {
  const prefixes = 3 ** level;
  const stride = costs.codes / (prefixes * 3);
  const chosen = new Uint8Array(costs.codes);
  const table = new Float64Array(prefixes * 9);
  for (const e of edges) {
    for (let i = 0; i < table.length; i++) table[i] = (table[i] as number) + pairCost(costs, e, level, i);
  }
  for (let p = 0; p < prefixes; p++) {
    const base = p * 3 * stride;
    for (let t = 0; t < 3; t++) {
      const c0 = table[p * 9 + t] as number;
      const c1 = table[p * 9 + 3 + t] as number;
      const c2 = table[p * 9 + 6 + t] as number;
      for (let r = 0; r < stride; r++) {
        let least = (from[base + r] as number) + c0;
        let s = 0;
        const one = (from[base + stride + r] as number) + c1;
        if (one < least) {
          least = one;
          s = 1;
        }
        const two = (from[base + 2 * stride + r] as number) + c2;
        if (two < least) {
          least = two;
          s = 2;
        }
        to[base + t * stride + r] = least;
        chosen[base + t * stride + r] = s;
      }
    }
  }
  return chosen;
}

/** Cost of an edge at a level, at (prefix · 3 + from) · 3 + to. */
function pairCost(costs: Costs, e: number, level: number, index: number): number {
  const prefix = Math.floor(index / 9);
  return costs.levelEdge(
    e,
    level,
    prefix,
    (Math.floor(index / 3) % 3) as TypeIndex,
    (index % 3) as TypeIndex,
  );
}

function addFromFixed(costs: Costs, e: number, from: number, cost: Float64Array): void {
  const { depth } = costs;
  for (let level = 0; level < depth; level++) {
    const stride = 3 ** (depth - 1 - level);
    const s = Math.floor(from / stride) % 3;
    for (let p = 0; p < 3 ** level; p++) {
      for (let t = 0; t < 3; t++) {
        const more = pairCost(costs, e, level, (p * 3 + s) * 3 + t);
        const base = (p * 3 + t) * stride;
        for (let r = 0; r < stride; r++) cost[base + r] = (cost[base + r] as number) + more;
      }
    }
  }
}

function addToFixed(costs: Costs, e: number, to: number, cost: Float64Array): void {
  const { depth } = costs;
  for (let level = 0; level < depth; level++) {
    const stride = 3 ** (depth - 1 - level);
    const prefix = Math.floor(to / (stride * 3));
    const t = (Math.floor(to / stride) % 3) as TypeIndex;
    for (let s = 0; s < 3; s++) {
      const more = costs.levelEdge(e, level, prefix, s as TypeIndex, t);
      for (let p = 0; p < 3 ** level; p++) {
        const base = (p * 3 + s) * stride;
        for (let r = 0; r < stride; r++) cost[base + r] = (cost[base + r] as number) + more;
      }
    }
  }
}

function incidence(edges: readonly NetworkEdge[], path: readonly number[]): Map<number, number[]> {
  const members = new Set(path);
  const found = new Map<number, number[]>();
  for (const [e, { from, to }] of edges.entries()) {
    for (const v of from === to ? [from] : [from, to]) {
      if (members.has(v)) found.set(v, [...(found.get(v) ?? []), e]);
    }
  }
  return found;
}
