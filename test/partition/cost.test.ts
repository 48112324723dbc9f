import fc from "fast-check";
import { expect, test } from "vitest";
import { costsOf } from "../../src/partition/cost.ts";
import type { Network } from "../../src/partition/graph.ts";
import { totalCost } from "../../src/partition/greedy.ts";
import { type Layout, received } from "../../src/partition/layout.ts";
import { resolveMix } from "../../src/partition/mix.ts";
import { sharesOf } from "../../src/partition/shares.ts";
import { hierarchyOf } from "../../src/partition/tree.ts";
import { chain, chains } from "./random-networks.ts";

/** In and out layouts of types I, II, III. */
const IN: readonly Layout[] = ["B", "C", "R"];
const OUT: readonly Layout[] = ["B", "R", "C"];

test("layouts give AccPar's table of costs between layers (table 4), F forwards and E backwards", () => {
  const [alpha, beta] = [0.3, 0.7];
  const between = (from: number, to: number) => {
    const f = received(OUT[from] as Layout, IN[to] as Layout, alpha, alpha)[0];
    const e = received(IN[to] as Layout, OUT[from] as Layout, alpha, alpha)[0];
    return [Number(f.toFixed(12)), Number(e.toFixed(12))];
  };
  const both = [alpha * beta, alpha * beta];
  expect([0, 1, 2].map((from) => [0, 1, 2].map((to) => between(from, to)))).toEqual([
    [[0, 0], both, [beta, 0]],
    [
      [0, beta],
      [0, beta],
      [0, 0],
    ],
    [both, [0, 0], [beta, 0]],
  ]);
});

test("the same layout with other shares moves the difference, to the side that needs it", () => {
  expect(received("B", "B", 0.25, 0.75)).toEqual([0.5, 0]);
  expect(received("C", "C", 0.75, 0.25)).toEqual([0, 0.5]);
  expect(received("R", "B", 0.75, 0.25)).toEqual([0, 0]);
});

/** AccPar's counting written out, level by level, with nothing shared with the planner. */
function counted({ nodes }: Network, types: readonly (readonly number[])[]): number {
  let sizes = nodes.map(({ input, output, weights }) => ({ input, output, weights }));
  let total = 0;
  for (let level = 0; level < (types[0]?.length ?? 0); level++) {
    for (const [l, size] of sizes.entries()) {
      const own = types[l]?.[level] as number;
      total += 2 ** level * ([size.weights, size.output, size.input][own] as number);
      if (l === 0) continue;
      const before = types[l - 1]?.[level] as number;
      const change = (from?: Layout, to?: Layout) =>
        from === to || from === "R" ? 0 : to === "R" ? 0.5 : 0.25;
      total += 2 ** level * size.input * (change(OUT[before], IN[own]) + change(IN[own], OUT[before]));
    }
    sizes = sizes.map((size, l) => {
      const own = types[l]?.[level];
      return {
        input: own === 2 ? size.input : size.input / 2,
        output: own === 1 ? size.output : size.output / 2,
        weights: own === 0 ? size.weights : size.weights / 2,
      };
    });
  }
  return total;
}

test("elements agree with AccPar's counting written out, for any types, within 1e-12", () => {
  fc.assert(
    fc.property(chains(5), fc.integer({ min: 1, max: 4 }), fc.nat(), (network, depth, seed) => {
      const mix = resolveMix([{ accelerator: "generic", count: 2 ** depth }]);
      const costs = costsOf(network, hierarchyOf(mix), {
        mode: "training",
        measure: "elements",
        shares: "layer",
        countsInputError: true,
      });
      const codes = network.nodes.map((_, v) => (seed * (v + 7) + v * v) % costs.codes);
      const types = codes.map((code) => [...code.toString(3).padStart(depth, "0")].map(Number));
      const expected = counted(network, types);
      expect(Math.abs(totalCost(costs, codes) - expected)).toBeLessThanOrEqual(1e-12 * expected);
    }),
  );
});

test("a table of a node's costs holds what is asked one by one", () => {
  const network = chain([300, 500, 70]);
  const groups = resolveMix([
    { accelerator: "tpu-v3", count: 3 },
    { accelerator: "tpu-v2", count: 2 },
  ]);
  const options = { mode: "training", measure: "time", shares: "layer", countsInputError: false } as const;
  const [one, other] = [0, 1].map(() => costsOf(network, hierarchyOf(groups), options));
  if (!one || !other) throw new Error("unreachable");
  const table = one.unaryTable(1);
  expect(table.length).toBe(27);
  for (const [code, cost] of table.entries()) expect(other.unary(1, code)).toBe(cost);
});

test("inference counts the forward pass only", () => {
  const network = chain([300, 500, 70]);
  const hierarchy = hierarchyOf(resolveMix([{ accelerator: "generic", count: 2 }]));
  const options = { measure: "elements", shares: "equal", countsInputError: true } as const;
  const costs = costsOf(network, hierarchy, { ...options, mode: "inference" });
  // Type I needs nothing forwards; III leaves its columns, which I then has to gather: a quarter each side.
  expect(totalCost(costs, [0, 0])).toBe(0);
  expect(totalCost(costs, [2, 0])).toBe(64 * 500 * 0.25);
  expect(totalCost(costs, [1, 0])).toBe(64 * 500);
});

test("a change of layout takes the producer's share of its own type and the consumer's of its own", () => {
  const network = chain([40, 4000, 20], 4096);
  const groups = resolveMix([
    { accelerator: "tpu-v3", count: 1 },
    { accelerator: "server-cpu", count: 1 },
  ]);
  const hierarchy = hierarchyOf(groups);
  const costs = costsOf(network, hierarchy, {
    mode: "training",
    measure: "elements",
    shares: "layer",
    countsInputError: false,
  });
  const shares = sharesOf(network.nodes, hierarchy, "training", "layer");
  const [first, second] = network.nodes.map((node) => shares(node));
  expect(new Set(first).size).toBeGreaterThan(1);
  expect(new Set(second).size).toBeGreaterThan(1);
  for (const [s, t] of [0, 1, 2].flatMap((s) => [0, 1, 2].map((t) => [s, t] as const))) {
    const [held, needed] = [first?.[s] as number, second?.[t] as number];
    const f = received(OUT[s] as Layout, IN[t] as Layout, held, needed);
    const e = received(IN[t] as Layout, OUT[s] as Layout, needed, held);
    const expected = ((f[0] + f[1] + e[0] + e[1]) / 2) * 4096 * 4000;
    expect(costs.edge(0, s, t)).toBeCloseTo(expected, 3);
  }
});
