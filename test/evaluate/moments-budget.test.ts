import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MomentsLimits, passesOf, vectorTargets } from "../../src/evaluate/moments/budget.ts";
import type { MomentsTask } from "../../src/evaluate/moments/plan.ts";
import { stateVectors } from "../../src/evaluate/moments/recurrent-vectors.ts";
import { sampledIndices } from "../../src/evaluate/moments/sampled.ts";
import type { Vectors } from "../../src/evaluate/moments/vectors.ts";
import { randomFrom } from "../../src/evaluate/random.ts";
import { floats } from "../compress/tiny.ts";

const task = fc
  .record({
    n: fc.integer({ min: 1, max: 400 }),
    distinct: fc.integer({ min: 1, max: 8 }),
    keepsGram: fc.boolean(),
    vectors: fc.option(fc.integer({ min: 0, max: 5000 })),
    bytes: fc.option(fc.integer({ min: 0, max: 4000 })),
    value: fc.integer({ min: 0, max: 9 }),
  })
  .map(
    ({ vectors, bytes, value, ...rest }): MomentsTask => ({
      ...rest,
      layers: [],
      matrices: rest.distinct,
      uses: [
        { path: [], reading: { values: [`v${value}`], as: { kind: "steps" } }, vectors, bytes: [bytes] },
      ],
    }),
  );
const limits = fc.record({
  gramMacs: fc.integer({ min: 0, max: 1e8 }),
  vectorsPerFeature: fc.integer({ min: 1, max: 32 }),
  fewestVectors: fc.integer({ min: 0, max: 100 }),
  activationBytes: fc.integer({ min: 1, max: 8000 }),
  gramBytes: fc.integer({ min: 1, max: 1e6 }),
});

function macsOf(tasks: readonly MomentsTask[], targets: readonly number[]): number {
  return tasks.reduce(
    (sum, { distinct, n, keepsGram }, i) =>
      sum + (keepsGram ? (targets[i]! * distinct * n * (n + 1)) / 2 : 0),
    0,
  );
}

describe("vectors that each layer is to see", () => {
  test("are never more than there are, keep the work in bounds unless the fewest exceed it, and fall together", () => {
    fc.assert(
      fc.property(fc.array(task), fc.integer({ min: 1, max: 20 }), limits, (tasks, runs, given) => {
        const targets = vectorTargets(tasks, runs, given);
        const fewest = vectorTargets(tasks, runs, { ...given, vectorsPerFeature: 0 });
        for (const [i, { uses }] of tasks.entries()) {
          const most = uses[0]!.vectors === null ? Number.POSITIVE_INFINITY : uses[0]!.vectors * runs;
          expect(targets[i]).toBeLessThanOrEqual(most);
          expect(targets[i]).toBeGreaterThanOrEqual(Math.min(most, given.fewestVectors));
          expect(Number.isFinite(targets[i])).toBe(true);
        }
        expect(macsOf(tasks, targets)).toBeLessThanOrEqual(Math.max(given.gramMacs, macsOf(tasks, fewest)));
      }),
    );
  });
});

describe("passes", () => {
  const bytesOf = (tasks: readonly MomentsTask[], { activationBytes }: MomentsLimits) => {
    const values = new Map(
      tasks.map(
        ({ uses: [use] }) => [use!.reading.values[0]!, use!.bytes[0] ?? activationBytes / 4] as const,
      ),
    );
    return [...values.values()].reduce((sum, bytes) => sum + bytes, 0);
  };

  test("take every layer once, in order, and hold no more than fits unless it is one alone", () => {
    fc.assert(
      fc.property(fc.array(task), limits, (tasks, given) => {
        // A value has one size, or none that is known.
        const sized = tasks.map((one) => ({
          ...one,
          uses: one.uses.map((use) => {
            const value = Number(use.reading.values[0]!.slice(1));
            return { ...use, bytes: [value % 3 === 0 ? null : 500 * value] };
          }),
        }));
        const passes = passesOf(sized, given);
        expect(passes.flat()).toEqual(sized.map((_, i) => i));
        for (const pass of passes) {
          expect(pass.length).toBeGreaterThan(0);
          if (pass.length === 1) continue;
          const members = pass.map((i) => sized[i]!);
          expect(bytesOf(members, given)).toBeLessThanOrEqual(given.activationBytes);
          const grams = members.reduce(
            (sum, { distinct, n, keepsGram }) => sum + (keepsGram ? distinct * n * n * 4 : 0),
            0,
          );
          expect(grams).toBeLessThanOrEqual(given.gramBytes);
        }
      }),
    );
  });
});

test("sampled indices rise, are as many as wanted, one from each stratum, and the same for the same seed", () => {
  fc.assert(
    fc.property(fc.nat(3000), fc.nat(3000), fc.nat(), (count, wanted, seed) => {
      const indices = sampledIndices(count, wanted, randomFrom(seed));
      expect(indices.length).toBe(Math.min(count, wanted));
      const isInStratum = (index: number, i: number) =>
        index >= (i * count) / indices.length && index < Math.ceil(((i + 1) * count) / indices.length);
      expect(indices.every(isInStratum)).toBe(true);
      expect(indices.every((index, i) => i === 0 || index > indices[i - 1]!)).toBe(true);
      expect(sampledIndices(count, wanted, randomFrom(seed))).toEqual(indices);
    }),
  );
});

test("states of a layer whose batch comes first are those of the same layer with the batch inside", () => {
  const [steps, batch, directions, n] = [4, 3, 2, 5];
  const y = floats([steps, directions, batch, n], 1);
  const h = floats([directions, batch, n], 2);
  const yFirst = new Float32Array(y.length);
  const hFirst = new Float32Array(h.length);
  for (let b = 0; b < batch; b++) {
    for (let d = 0; d < directions; d++) {
      for (let i = 0; i < n; i++) {
        hFirst[(b * directions + d) * n + i] = h[(d * batch + b) * n + i]!;
        for (let t = 0; t < steps; t++) {
          yFirst[((b * steps + t) * directions + d) * n + i] = y[((t * directions + d) * batch + b) * n + i]!;
        }
      }
    }
  }
  const reversed = [false, true];
  const inside = stateVectors(
    { dims: [steps, directions, batch, n], data: y },
    { dims: [directions, batch, n], data: h },
    { batchFirst: false, reversed },
  );
  const first = stateVectors(
    { dims: [batch, steps, directions, n], data: yFirst },
    { dims: [batch, directions, n], data: hFirst },
    { batchFirst: true, reversed },
  );
  const all = (vectors: Vectors): Float32Array => {
    const out = new Float32Array(vectors.matrices * vectors.count * n);
    for (let k = 0; k < vectors.matrices * vectors.count; k++) {
      vectors.write(Math.floor(k / vectors.count), k % vectors.count, out, k * n);
    }
    return out;
  };
  expect(inside).toMatchObject({ matrices: directions, n, count: steps * batch });
  expect(first).toMatchObject({ matrices: directions, n, count: steps * batch });
  expect(all(first)).toEqual(all(inside));
  // Forward, the first step's state is the initial one and the second's is what the first step gave.
  expect([...all(inside).subarray(0, n)]).toEqual([...h.subarray(0, n)]);
  expect([...all(inside).subarray(batch * n, batch * n + n)]).toEqual([...y.subarray(0, n)]);
});
