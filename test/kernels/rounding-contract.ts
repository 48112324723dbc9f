import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EvenLevels, Kernels } from "../../src/kernels/kernels.ts";
import { roundedToHalf } from "../../src/kernels/reference/half.ts";
import * as reference from "../../src/kernels/reference/rounding.ts";
import { singles } from "./matrices.ts";

/** Weights of some rows with zeros of both signs, equal ones and denormals among them, on levels that fit groups of columns. */
const problems = fc
  .record({
    rows: fc.integer({ min: 1, max: 5 }),
    groups: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 37 }),
    count: fc.integer({ min: 2, max: 256 }),
    half: fc.boolean(),
  })
  .chain(({ rows, groups, group, count, half }) => {
    const n = groups * group;
    const weight = fc.oneof(
      fc.float({ min: -4, max: 4, noNaN: true }),
      fc.constantFrom(0, -0, 0.5, -0.5, 1.5, Math.fround(1e-40), Math.fround(1e30)),
    );
    const numbers = (of: fc.Arbitrary<number>, length: number) =>
      fc.array(of, { minLength: length, maxLength: length }).map((list) => Float32Array.from(list));
    return fc.record({
      w: numbers(weight, rows * n),
      weights: numbers(fc.float({ min: 0, max: 2, noNaN: true }), n),
      levels: fc.constant({ least: -(count >> 1), most: count - 1 - (count >> 1), group }),
      half: fc.constant(half),
    });
  });

/** What the kernels that round to nearest have to do in every home. */
export function describeRounding(host: string, home: () => Promise<Kernels>): void {
  describe(`rounding to nearest of ${host}`, () => {
    test("scales lose what the reference's lose, to 1e-9 of it, and are halves where they are to be", async () => {
      const kernels = await home();
      fc.assert(
        fc.property(problems, ({ w, weights, levels, half }) => {
          const scales = kernels.fitScales(w, weights, levels, half);
          const expected = reference.fitScales(w, weights, levels, half);
          expect(scales.length).toBe(expected.length);
          for (const [i, scale] of scales.entries()) {
            if (half) expect(roundedToHalf(scale)).toBe(scale);
            const [loss, least] = [scale, expected[i]!].map((one) => lossOf(w, weights, levels, i, one));
            expect(loss! - least!).toBeLessThanOrEqual(1e-9 * least!);
          }
        }),
      );
    });

    test("codes are the reference's", async () => {
      const kernels = await home();
      fc.assert(
        fc.property(problems, ({ w, weights, levels, half }) => {
          const scales = reference.fitScales(w, weights, levels, half);
          expect(kernels.nearestCodes(w, scales, levels)).toEqual(reference.nearestCodes(w, scales, levels));
        }),
      );
    });

    test("what lies on levels of one scale is found again: the scale to 1e-6, the codes exactly", async () => {
      const kernels = await home();
      const levels = { least: -127, most: 127, group: 255 };
      const codes = Uint8Array.from({ length: 255 }, (_, i) => (i * 7) % 255);
      for (const scale of [1, 0.37, 3e-5]) {
        const w = Float32Array.from(codes, (code) => scale * (code - 127));
        const [found] = kernels.fitScales(w, new Float32Array(255).fill(1), levels, false);
        expect(Math.abs(found! / scale - 1)).toBeLessThan(1e-6);
        expect(kernels.nearestCodes(w, Float32Array.of(found!), levels)).toEqual(codes);
      }
    });

    test("of two levels as near the lower is taken; a scale of zero and a zero give the level 0", async () => {
      const kernels = await home();
      const levels = { least: -8, most: 7, group: 6 };
      const w = Float32Array.of(0.5, -0.5, 1.5, -0, 9, -9, 1, 2, 3, 4, 5, 6);
      const codes = kernels.nearestCodes(w, Float32Array.of(1, 0), levels);
      expect(Array.from(codes, (code) => code - 8)).toEqual([0, -1, 1, 0, 7, -8, 0, 0, 0, 0, 0, 0]);
      expect([...kernels.fitScales(new Float32Array(6), new Float32Array(6).fill(1), levels, true)]).toEqual([
        0,
      ]);
    });

    test("rows do not depend on each other, however many of them there are and however long they are", async () => {
      const kernels = await home();
      for (const [m, n, group] of [
        [3, 70_001, 70_001],
        [401, 390, 13],
        [2, 0, 1],
      ] as const) {
        const [w, weights] = [singles(m * n, 3), singles(n, 4).map(Math.abs)];
        const levels = { least: -127, most: 127, group };
        const scales = kernels.fitScales(w, weights, levels, false);
        const codes = kernels.nearestCodes(w, scales, levels);
        for (const row of [0, m - 1]) {
          const own = w.slice(row * n, (row + 1) * n);
          const alone = kernels.fitScales(own, weights, levels, false);
          expect(scales.slice((row * n) / group, ((row + 1) * n) / group)).toEqual(alone);
          expect(codes.slice(row * n, (row + 1) * n)).toEqual(kernels.nearestCodes(own, alone, levels));
        }
      }
    });
  });
}

/** Σ weight·(w − ŵ)² of group `index` at a scale. */
function lossOf(
  w: Float32Array,
  weights: Float32Array,
  { least, most, group }: EvenLevels,
  index: number,
  scale: number,
): number {
  let sum = 0;
  for (let at = index * group; at < (index + 1) * group; at++) {
    const level = scale === 0 ? 0 : Math.min(most, Math.max(least, Math.ceil(w[at]! / scale - 0.5)));
    sum += weights[at % weights.length]! * (w[at]! - scale * level) ** 2;
  }
  return sum;
}
