import type { Costs } from "./cost.ts";
import type { Crossed, Crossing } from "./crossing.ts";
import type { NetworkEdge } from "./graph.ts";

/** Best types of all levels at once for the nodes of one path, everything else held: dynamic programming, exact. */
export function sweepPath(
  costs: Costs,
  crossing: Crossing,
  path: readonly number[],
  codes: readonly number[],
): number[] {
  const { edges } = costs.network;
  const position = new Map(path.map((v, i) => [v, i]));
  const edgesOf = incidence(edges, path);
  const crossings: Crossed[] = [];
  let cost: Float64Array = new Float64Array(costs.codes);
  for (const [i, v] of path.entries()) {
    const own = edgesOf.get(v) ?? [];
    if (i > 0) {
      const inner = own.filter((e) => position.get((edges[e] as NetworkEdge).from) === i - 1);
      const crossed = crossing.all(inner, cost);
      crossings.push(crossed);
      cost = crossed.cost;
    }
    const work = costs.unaryTable(v);
    cost = cost.map((sum, code) => sum + (work[code] as number));
    for (const e of own) {
      const edge = edges[e] as NetworkEdge;
      if (edge.to === v && !position.has(edge.from)) crossing.addFrom(e, codes[edge.from] as number, cost);
      if (edge.from === v && !position.has(edge.to)) crossing.addTo(e, codes[edge.to] as number, cost);
    }
  }
  const found = [...codes];
  let code = leastCode(cost);
  for (let i = path.length - 1; i >= 0; i--) {
    found[path[i] as number] = code;
    if (i > 0) code = (crossings[i - 1] as Crossed).producer(code);
  }
  return found;
}

/** The lowest of the codes that cost least. */
export function leastCode(cost: Float64Array): number {
  let least = 0;
  for (let code = 1; code < cost.length; code++) {
    if ((cost[code] as number) < (cost[least] as number)) least = code;
  }
  return least;
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
