import fc from "fast-check";
import { expect, test } from "vitest";
import { bestTile, plainTime, tiledTime } from "../../../src/compress/fast/convolution-time.ts";
import { fastCorrelation, MOST_POINTS } from "../../../src/compress/fast/cook-toom.ts";

const product = (matrix: readonly (readonly number[])[], vector: readonly number[]) =>
  matrix.map((row) => row.reduce((sum, entry, i) => sum + entry * vector[i]!, 0));

const sizes = fc.integer({ min: 1, max: MOST_POINTS - 1 }).chain((outputs) =>
  fc.record({
    outputs: fc.constant(outputs),
    taps: fc.integer({ min: 1, max: MOST_POINTS + 1 - outputs }),
  }),
);

test("F(m, r) is the correlation to 1e-10 of the largest terms, with m + r − 1 products", () => {
  const number = fc.double({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(sizes, fc.array(number, { minLength: 16, maxLength: 16 }), ({ outputs, taps }, numbers) => {
      const { points, input, filter, output } = fastCorrelation(outputs, taps);
      expect(points).toBe(outputs + taps - 1);
      const d = numbers.slice(0, points);
      const g = numbers
        .slice(points, points + taps)
        .concat(new Array(taps).fill(0.5))
        .slice(0, taps);
      const [spread, weights] = [product(input, d), product(filter, g)];
      const joined = product(
        output,
        spread.map((entry, i) => entry * weights[i]!),
      );
      for (let row = 0; row < outputs; row++) {
        const expected = g.reduce((sum, tap, k) => sum + tap * d[row + k]!, 0);
        expect(Math.abs(joined[row]! - expected)).toBeLessThan(1e-10);
      }
    }),
  );
});

test("F(2, 3) is Winograd's", () => {
  const { input, output } = fastCorrelation(2, 3);
  expect(input.at(-1)).toEqual([0, -1, 0, 1]);
  expect(output).toEqual([
    [1, 1, 1, 0],
    [0, 1, -1, 1],
  ]);
});

test("more points than there are: RangeError", () => {
  expect(() => fastCorrelation(6, 4)).toThrow(RangeError);
  expect(() => fastCorrelation(0, 3)).toThrow(RangeError);
});

const size = (channels: number, positions: number, kernel: [number, number] = [3, 3]) => ({
  batch: 1,
  inputChannels: channels,
  outputChannels: channels,
  kernel,
  strides: [1, 1] as const,
  output: [positions, positions] as const,
});

test("large convolutions are tiled; small, pointwise and strided ones are not", () => {
  expect(bestTile(size(64, 80), "everywhere")).not.toBeNull();
  expect(bestTile(size(128, 40), "everywhere")).not.toBeNull();
  expect(bestTile(size(16, 14), "everywhere")).toBeNull();
  expect(bestTile(size(64, 4), "everywhere")).toBeNull();
  expect(bestTile(size(256, 40, [1, 1]), "everywhere")).toBeNull();
  expect(bestTile({ ...size(128, 40), strides: [2, 2] }, "web")).toBeNull();
});

test("a tile is chosen only where the model of time says that it is faster, and never more points than there are", () => {
  const axis = fc.integer({ min: 1, max: 9 });
  const channels = fc.integer({ min: 1, max: 512 });
  const positions = fc.integer({ min: 1, max: 320 });
  fc.assert(
    fc.property(
      fc.record({
        batch: fc.integer({ min: 1, max: 4 }),
        inputChannels: channels,
        outputChannels: channels,
        kernel: fc.tuple(axis, axis),
        strides: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
        output: fc.tuple(positions, positions),
      }),
      fc.constantFrom("web" as const, "everywhere" as const),
      (convolution, target) => {
        const best = bestTile(convolution, target);
        if (!best) return;
        expect(tiledTime(convolution, best.tile, target)).toBeLessThan(plainTime(convolution, target));
        for (const at of [0, 1] as const) {
          if (best.tile[at] === 1) continue;
          expect(convolution.strides[at]).toBe(1);
          expect(best.tile[at] + convolution.kernel[at] - 1).toBeLessThanOrEqual(MOST_POINTS);
        }
      },
    ),
  );
});
