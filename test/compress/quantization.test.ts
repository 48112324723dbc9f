import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type InputMoments, layerError } from "../../src/compress/input-moments.ts";
import { gptqCodes } from "../../src/compress/quantization/gptq.ts";
import { type Grid, gridValues } from "../../src/compress/quantization/grid.ts";
import {
  fittedLevels,
  type Levels,
  nearestLevel,
  uniformLevels,
} from "../../src/compress/quantization/levels.ts";
import { objectiveOf } from "../../src/compress/quantization/objective.ts";
import { type QuantizeRequest, quantizeMatrix } from "../../src/compress/quantization/quantize-matrix.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { momentsOf, REQUEST } from "./quantization-moments.ts";
import { floats, largestDifference } from "./tiny.ts";

const error = (w: Float32Array, request: Partial<QuantizeRequest>, moments: InputMoments, rows: number) => {
  const objective = objectiveOf(moments.n, moments, kernels);
  const { values } = quantizeMatrix(w, rows, moments.n, objective, { ...REQUEST, ...request }, kernels);
  return layerError(w, values, rows, moments.n, moments);
};

/** GPTQ as the paper derives it: the inverse Hessian itself, one column eliminated at a time, all in float64. */
function plainGptq(
  weight: Float32Array,
  rows: number,
  n: number,
  h: Float32Array,
  order: Uint32Array,
  round: (w: number, row: number, column: number) => number,
): Float64Array {
  const w = Float64Array.from(weight);
  const inverse = inverseOf(Float64Array.from(h), n);
  for (const j of order) {
    const pivot = inverse[j * n + j]!;
    for (let r = 0; r < rows; r++) {
      const q = round(w[r * n + j]!, r, j);
      const err = (w[r * n + j]! - q) / pivot;
      for (let k = 0; k < n; k++) w[r * n + k]! -= err * inverse[j * n + k]!;
      w[r * n + j] = q;
    }
    const row = inverse.slice(j * n, (j + 1) * n);
    for (let a = 0; a < n; a++)
      for (let b = 0; b < n; b++) inverse[a * n + b]! -= (row[a]! * row[b]!) / pivot;
  }
  return w;
}

/** Gauss and Jordan, without pivoting: H is positive definite. */
function inverseOf(h: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1;
  for (let i = 0; i < n; i++) {
    const pivot = h[i * n + i]!;
    for (let k = 0; k < n; k++) {
      h[i * n + k]! /= pivot;
      inverse[i * n + k]! /= pivot;
    }
    for (let r = 0; r < n; r++) {
      const factor = h[r * n + i]!;
      if (r === i || factor === 0) continue;
      for (let k = 0; k < n; k++) {
        h[r * n + k]! -= factor * h[i * n + k]!;
        inverse[r * n + k]! -= factor * inverse[i * n + k]!;
      }
    }
  }
  return inverse;
}

describe("GPTQ", () => {
  const palette: Levels = {
    uniform: false,
    values: Float32Array.of(-1, -0.6, -0.3, -0.1, 0, 0.1, 0.3, 0.6, 1),
  };
  for (const [name, levels, top] of [
    ["evenly spaced levels", uniformLevels(15), 7],
    ["a palette", palette, 1],
  ] as const) {
    test(`equals the paper's elimination of the inverse Hessian to 1e-4, ${name}`, () => {
      for (const [rows, n, seed] of [
        [1, 1, 1],
        [6, 13, 2],
        [5, 70, 3],
        [16, 130, 4],
      ] as const) {
        const w = floats([rows, n], seed);
        const objective = objectiveOf(n, momentsOf(n, seed), kernels);
        const scales = Float32Array.from({ length: rows }, (_, r) => (0.5 + r / 50) / top);
        const grid: Grid = { rows, columns: n, levels, group: n, scales };
        const values = gridValues(grid, gptqCodes(w, grid, objective, false, kernels));
        const expected = plainGptq(w, rows, n, objective.h!, objective.order, (x, r) => {
          return levels.values[nearestLevel(levels, x / scales[r]!)]! * scales[r]!;
        });
        expect(largestDifference([...values], [...expected])).toBeLessThan(1e-4);
      }
    });
  }

  test("on average coordinate descent ≤ GPTQ ≤ nearest, GPTQ at most 60% of nearest, for 255, 15 and 4 levels and palettes", () => {
    for (const request of [
      { levels: 255 },
      { levels: 15 },
      { levels: 4 },
      { levels: 15, group: 8 },
      { levels: 9, spacing: "palette" },
    ] as const) {
      const [nearest, gptq, descent] = (["nearest", "gptq", "descent"] as const).map((solver) => {
        let sum = 0;
        for (let seed = 1; seed <= 5; seed++) {
          sum += error(floats([12, 48], seed), { ...request, solver }, momentsOf(48, seed + 50), 12);
        }
        return sum / 5;
      });
      expect(gptq, JSON.stringify(request)).toBeLessThan(0.6 * nearest!);
      expect(descent, JSON.stringify(request)).toBeLessThanOrEqual(gptq!);
    }
  });
});

describe("levels and scales", () => {
  test("fitted levels are as good as the best of all partitions to 1%, for few points", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const points = floats([9], seed).sort();
      const weights = floats([9], seed + 20).map((one) => one + 1.1);
      const cost = (values: Float32Array) =>
        points.reduce((sum, x, i) => sum + weights[i]! * Math.min(...values.map((v) => (x - v) ** 2)), 0);
      let best = Number.POSITIVE_INFINITY;
      for (let a = 1; a < 8; a++) {
        for (let b = a + 1; b < 9; b++) {
          const means = [0, a, b].map((from, i) => {
            const to = [a, b, 9][i]!;
            let [mass, sum] = [0, 0];
            for (let k = from; k < to; k++)
              [mass, sum] = [mass + weights[k]!, sum + weights[k]! * points[k]!];
            return sum / mass;
          });
          best = Math.min(best, cost(Float32Array.from(means)));
        }
      }
      expect(cost(fittedLevels(points, weights, 3, false).values)).toBeLessThan(best * 1.01 + 1e-6);
    }
  });

  test("more freedom lowers the error: blocks and palettes against one scale a row", () => {
    let [row, block, palette] = [0, 0, 0];
    for (let seed = 1; seed <= 4; seed++) {
      const moments = momentsOf(64, seed);
      // Outlier channels: a few columns of W are far larger, where inputs are small.
      const w = floats([16, 64], seed).map((x, i) => x ** 3 * (i % 64 < 3 ? 8 : 1));
      row += error(w, {}, moments, 16);
      block += error(w, { group: 8 }, moments, 16);
      palette += error(w, { spacing: "palette" }, moments, 16);
    }
    expect(block).toBeLessThan(0.8 * row);
    expect(palette).toBeLessThan(0.8 * row);
  });
});

test("zeros stay zeros, zero rows too, and nothing is NaN: dead inputs, one sample, no samples, any request", () => {
  const requests = fc.record({
    levels: fc.constantFrom(2, 3, 4, 15, 16, 255, 256),
    spacing: fc.constantFrom("uniform" as const, "palette" as const),
    group: fc.constantFrom(null, 1, 2, 4),
    solver: fc.constantFrom("nearest" as const, "gptq" as const, "descent" as const),
    keepZeros: fc.boolean(),
    halfScales: fc.boolean(),
  });
  fc.assert(
    fc.property(
      requests,
      fc.nat(1000),
      fc.constantFrom("full", "one", "diagonal", "none", "dead"),
      fc.constantFrom(0, 1, 1e-30, 1e30),
      (request, seed, seen, size) => {
        const [rows, n] = [5, 12];
        const w = floats([rows, n], seed).map((x, i) => (i < n || i % 3 === 0 ? 0 : x * size));
        const full = momentsOf(n, seed, seen === "dead" ? n : 2, seen === "one" ? 1 : 30);
        const moments = seen === "none" ? null : seen === "diagonal" ? { ...full, gram: null } : full;
        const objective = objectiveOf(n, moments, kernels);
        const result = quantizeMatrix(w, rows, n, objective, request, kernels);
        expect(result.values.every(Number.isFinite)).toBe(true);
        expect(result.scales.every(Number.isFinite)).toBe(true);
        expect(result.codes.every((code) => code < result.levels.length)).toBe(true);
        expect(result.levels.length).toBeLessThanOrEqual(request.levels);
        for (let c = 0; c < n; c++) expect(Math.abs(result.values[c]!)).toBe(0);
        if (request.keepZeros) expect(result.values.every((one, i) => w[i] !== 0 || one === 0)).toBe(true);
      },
    ),
    { numRuns: 150, seed: 7 },
  );
});

test("the same input gives the same codes", () => {
  const w = floats([9, 24], 2);
  const objective = objectiveOf(24, momentsOf(24, 4), kernels);
  const once = quantizeMatrix(w, 9, 24, objective, { ...REQUEST, spacing: "palette" }, kernels);
  const again = quantizeMatrix(w, 9, 24, objective, { ...REQUEST, spacing: "palette" }, kernels);
  expect(again).toEqual(once);
});
