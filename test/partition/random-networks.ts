import fc from "fast-check";
import type { Network, NetworkEdge, NetworkNode } from "../../src/partition/graph.ts";
import { DENSE_WAYS, GROUPED_WAYS, JOIN_WAYS, RECURRENT_WAYS } from "../../src/partition/layout.ts";

/** A fully connected layer with every figure from the paper's formulas. */
export function dense(name: string, batch: number, from: number, to: number, first = false): NetworkNode {
  return {
    name,
    op: "Gemm",
    kind: "dense",
    ways: DENSE_WAYS,
    units: [batch, from, to],
    input: batch * from,
    output: batch * to,
    weights: from * to,
    flops: {
      forward: batch * to * (2 * from - 1),
      backward: batch * from * (2 * to - 1),
      gradient: from * to * (2 * batch - 1),
    },
    elementBytes: 4,
    weightBytes: 4 * from * to,
    precision: "fp32",
    passesError: !first,
  };
}

export function chain(widths: readonly number[], batch = 64): Network {
  const nodes = widths.slice(1).map((to, i) => dense(`fc${i + 1}`, batch, widths[i] as number, to, i === 0));
  const edges = nodes.slice(1).map((node, i) => ({ from: i, to: i + 1, elements: node.input }));
  return { name: "chain", batch, nodes, edges, notes: [] };
}

export const chains = (layers: number) =>
  fc
    .array(fc.integer({ min: 1, max: 4000 }), { minLength: 2, maxLength: layers + 1 })
    .map((widths) => chain(widths));

/** Any acyclic graph of layers and joins, forks included. */
export const graphs = (layers: number) =>
  fc
    .record({
      batch: fc.integer({ min: 1, max: 512 }),
      nodes: fc.array(
        fc.record({
          from: fc.integer({ min: 1, max: 3000 }),
          to: fc.integer({ min: 1, max: 3000 }),
          ways: fc.constantFrom(DENSE_WAYS, DENSE_WAYS, JOIN_WAYS, GROUPED_WAYS, RECURRENT_WAYS),
          parents: fc.array(fc.nat(20), { maxLength: 4 }),
        }),
        { minLength: 1, maxLength: layers },
      ),
    })
    .map(({ batch, nodes }): Network => {
      const edges: NetworkEdge[] = [];
      const built = nodes.map(({ from, to, ways, parents }, v) => {
        const own = v === 0 ? [] : [...new Set(parents.map((parent) => parent % v))];
        for (const parent of own) edges.push({ from: parent, to: v, elements: batch * from });
        const layer = dense(`n${v}`, batch, from, to, own.length === 0);
        if (ways !== JOIN_WAYS) return { ...layer, ways };
        return {
          ...layer,
          ways,
          op: "Add",
          kind: "join" as const,
          weights: 0,
          weightBytes: 0,
          flops: { forward: layer.output, backward: layer.output, gradient: 0 },
        };
      });
      return { name: "random", batch, nodes: built, edges, notes: [] };
    });

/** Series-parallel graphs: nodes put into edges, or beside them. */
export const seriesParallel = (layers: number) =>
  fc
    .record({
      batch: fc.integer({ min: 1, max: 512 }),
      widths: fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 3000 })), {
        minLength: 2,
        maxLength: layers,
      }),
      places: fc.array(fc.tuple(fc.nat(100), fc.boolean()), { minLength: layers, maxLength: layers }),
    })
    .map(({ batch, widths, places }): Network => {
      let arcs: readonly (readonly [number, number])[] = [[0, 1]];
      for (let v = 2; v < widths.length; v++) {
        const [place, beside] = places[v - 2] as [number, boolean];
        const at = place % arcs.length;
        const [from, to] = arcs[at] as readonly [number, number];
        arcs = [...arcs.filter((_, i) => beside || i !== at), [from, v], [v, to]];
      }
      // In the order of the data, as networks are.
      const position = orderOf(widths.length, arcs);
      const nodes = widths.map((_, v) => {
        const old = position.indexOf(v);
        const [from, to] = widths[old] as readonly [number, number];
        return dense(`n${v}`, batch, from, to, !arcs.some(([, end]) => end === old));
      });
      const edges = arcs.map(([from, to]) => ({
        from: position[from] as number,
        to: position[to] as number,
        elements: batch * (widths[to]?.[0] ?? 1),
      }));
      return { name: "series-parallel", batch, nodes, edges, notes: [] };
    });

/** Each node's place in a topological order. */
function orderOf(count: number, arcs: readonly (readonly [number, number])[]): number[] {
  const depth = (v: number): number =>
    Math.max(0, ...arcs.filter(([, to]) => to === v).map(([from]) => 1 + depth(from)));
  const ordered = Array.from({ length: count }, (_, v) => v).sort((a, b) => depth(a) - depth(b) || a - b);
  return Array.from({ length: count }, (_, v) => ordered.indexOf(v));
}
