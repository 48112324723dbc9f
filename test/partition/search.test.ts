import fc from "fast-check";
import { expect, test } from "vitest";
import { type Costs, costsOf, type Measure } from "../../src/partition/cost.ts";
import { eliminationOrder, minimise, type PairCost } from "../../src/partition/eliminate.ts";
import type { Network } from "../../src/partition/graph.ts";
import { greedy, SCHEMES, totalCost } from "../../src/partition/greedy.ts";
import { resolveMix } from "../../src/partition/mix.ts";
import { DEFAULT_LIMITS, searchTypes } from "../../src/partition/search.ts";
import type { SharePolicy } from "../../src/partition/shares.ts";
import { hierarchyOf } from "../../src/partition/tree.ts";
import { chains, graphs, seriesParallel } from "./random-networks.ts";

/** Hierarchies of one, two and three levels; unlike, odd and equal devices. */
const MIXES = {
  1: [
    { accelerator: "tpu-v3", count: 1 },
    { accelerator: "tpu-v2", count: 1 },
  ],
  2: [
    { accelerator: "tpu-v3", count: 2 },
    { accelerator: "a100", count: 1 },
  ],
  3: [{ accelerator: "generic", count: 7 }],
} as const;

function costsFor(network: Network, levels: 1 | 2 | 3, measure: Measure, shares: SharePolicy): Costs {
  const hierarchy = hierarchyOf(resolveMix([...MIXES[levels]]));
  expect(hierarchy.depth).toBe(levels);
  return costsOf(network, hierarchy, { mode: "training", measure, shares, countsInputError: false });
}

/** The least cost over all types of all nodes and levels. */
function bruteForce(costs: Costs): number {
  const count = costs.network.nodes.length;
  const unary = costs.network.nodes.map((_, v) =>
    [...Array(costs.codes).keys()].map((c) => costs.unary(v, c)),
  );
  const pairs = costs.network.edges.map(({ from, to }, e) => ({
    from,
    to,
    costs: [...Array(costs.codes ** 2).keys()].map((i) =>
      costs.edge(e, Math.floor(i / costs.codes), i % costs.codes),
    ),
  }));
  let least = Number.POSITIVE_INFINITY;
  const codes = new Array<number>(count).fill(0);
  const visit = (v: number, sum: number): void => {
    if (sum >= least) return;
    if (v === count) {
      least = sum;
      return;
    }
    for (let code = 0; code < costs.codes; code++) {
      codes[v] = code;
      let next = sum + (unary[v]?.[code] as number);
      for (const pair of pairs) {
        if (pair.to === v) next += pair.costs[(codes[pair.from] as number) * costs.codes + code] as number;
      }
      visit(v + 1, next);
    }
  };
  visit(0, 0);
  return least;
}

const levels = fc.constantFrom(1 as const, 2 as const, 3 as const);
const measures = fc.constantFrom("time" as const, "elements" as const);
const policies = fc.constantFrom("layer" as const, "network" as const, "equal" as const);

function expectExact(costs: Costs, limits = DEFAULT_LIMITS): void {
  const found = totalCost(costs, searchTypes(costs, limits));
  const least = bruteForce(costs);
  expect(Math.abs(found - least)).toBeLessThanOrEqual(1e-9 * least);
}

test("on chains of six layers the search equals brute force over all types and levels within 1e-9", () => {
  fc.assert(
    fc.property(chains(6), levels, measures, policies, (network, depth, measure, shares) => {
      expectExact(costsFor(network, depth, measure, shares));
    }),
    { numRuns: 60 },
  );
});

test("on graphs of six layers, forks and joins, it equals brute force over all types and levels within 1e-9", () => {
  fc.assert(
    fc.property(graphs(6), levels, measures, policies, (network, depth, measure, shares) => {
      expectExact(costsFor(network, depth, measure, shares));
    }),
    { numRuns: 100 },
  );
});

test("series-parallel graphs are solved exactly by their blocks: equal to brute force within 1e-9", () => {
  const limits = { ...DEFAULT_LIMITS, exactSteps: 0, rounds: 0, patternSteps: 0 };
  fc.assert(
    fc.property(seriesParallel(6), levels, measures, policies, (network, depth, measure, shares) => {
      expectExact(costsFor(network, depth, measure, shares), limits);
    }),
    { numRuns: 100 },
  );
});

test("with no room to be exact the search is never worse than any greedy scheme", () => {
  const cramped = {
    ...DEFAULT_LIMITS,
    sweepBytes: 0,
    tableEntries: 30,
    eliminationSteps: 100,
    exactSteps: 0,
  };
  fc.assert(
    fc.property(graphs(12), measures, (network, measure) => {
      const costs = costsFor(network, 3, measure, "network");
      const found = totalCost(costs, searchTypes(costs, cramped));
      for (const allowed of Object.values(SCHEMES)) {
        expect(found).toBeLessThanOrEqual(totalCost(costs, greedy(costs, allowed)));
      }
    }),
  );
});

test("elimination finds the least sum of any unary and pairwise costs", () => {
  const problem = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 }).chain((sizes) => {
    const cost = fc.integer({ min: 0, max: 50 });
    const table = (length: number) =>
      fc.array(cost, { minLength: length, maxLength: length }).map((costs) => Float64Array.from(costs));
    const pair = fc
      .tuple(fc.nat(sizes.length - 1), fc.nat(sizes.length - 1))
      .filter(([a, b]) => a !== b)
      .chain(([a, b]) =>
        table((sizes[a] as number) * (sizes[b] as number)).map((costs): PairCost => ({ a, b, table: costs })),
      );
    return fc.record({
      unary: fc.tuple(...sizes.map(table)),
      pairs: sizes.length > 1 ? fc.array(pair, { maxLength: 9 }) : fc.constant<PairCost[]>([]),
    });
  });
  fc.assert(
    fc.property(problem, ({ unary, pairs }) => {
      const cost = (values: readonly number[]) =>
        unary.reduce((sum, table, v) => sum + (table[values[v] as number] as number), 0) +
        pairs.reduce(
          (sum, { a, b, table }) =>
            sum +
            (table[
              (values[a] as number) * (unary[b] as Float64Array).length + (values[b] as number)
            ] as number),
          0,
        );
      const { sequence, frozen } = eliminationOrder(unary.length, pairs, 10);
      expect(frozen).toEqual([]);
      const all = unary.reduce<number[][]>(
        (found, table) => found.flatMap((values) => [...table.keys()].map((value) => [...values, value])),
        [[]],
      );
      expect(cost(minimise(unary, pairs, sequence))).toBe(Math.min(...all.map(cost)));
    }),
  );
});
