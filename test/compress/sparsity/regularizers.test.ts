import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REGULARIZERS } from "../../../src/compress/sparsity/regularizers.ts";
import type { RegularizerName } from "../../../src/compress/sparsity/request.ts";

const ELEMENTWISE = ["l1", "l0", "hoyer_square", "transformed_l1"] as const;

/** ½‖x−v‖² + t·R(x) */
function cost(name: RegularizerName, x: Float32Array, v: Float32Array, t: number): number {
  const shape = { rows: 1, columns: v.length, segment: v.length };
  const distance = x.reduce((sum, value, i) => sum + (value - v[i]!) ** 2, 0);
  return distance / 2 + t * REGULARIZERS[name].value(x, shape);
}

function prox(name: RegularizerName, v: Float32Array, t: number): Float32Array {
  const x = v.slice();
  REGULARIZERS[name].prox(x, t, { rows: 1, columns: v.length, segment: v.length });
  return x;
}

/** Least cost over a grid of vectors of at most three entries, refined six times around its best point. */
function bruteForce(name: RegularizerName, v: Float32Array, t: number): number {
  const steps = 12;
  let best = new Float32Array(v.length);
  let least = cost(name, best, v, t);
  let width = 2 * Math.max(...v.map(Math.abs));
  for (let round = 0; round < 7; round++) {
    const centre = best;
    for (let point = 0; point < (steps + 1) ** v.length; point++) {
      const x = centre.map((value, i) => {
        const place = Math.floor(point / (steps + 1) ** i) % (steps + 1);
        const moved = value + width * (place / steps - 0.5) * 2;
        return Math.abs(moved) < 1e-7 ? 0 : moved;
      });
      // Zeros as the centre has them are among the points of the grid; so are those of its corners.
      for (const candidate of [x, x.map((value) => (Math.abs(value) < width / steps ? 0 : value))]) {
        const value = cost(name, candidate, v, t);
        if (value < least) {
          least = value;
          best = candidate;
        }
      }
    }
    width *= 0.3;
  }
  return least;
}

const vectors = fc
  .array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 3 })
  .map((list) => Float32Array.from(list))
  .filter((v) => v.some((value) => Math.abs(value) > 0.05));
const strengths = fc.double({ min: 0.01, max: 3, noNaN: true });

describe("proximal operators", () => {
  test.each(ELEMENTWISE)("%s: no point of a grid around it costs less, to 1e-6", (name) => {
    fc.assert(
      fc.property(vectors, strengths, (v, t) => {
        expect(cost(name, prox(name, v, t), v, t)).toBeLessThanOrEqual(bruteForce(name, v, t) + 1e-6);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test.each(ELEMENTWISE)("%s: no random vector of 40 entries near it costs less, to 1e-6", (name) => {
    const long = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(
        long,
        long,
        strengths,
        fc.double({ min: 0, max: 0.3, noNaN: true }),
        (list, noise, t, size) => {
          const v = Float32Array.from(list);
          const x = prox(name, v, t / 10);
          const near = x.map((value, i) => value + size * noise[i]!);
          expect(cost(name, x, v, t / 10)).toBeLessThanOrEqual(cost(name, near, v, t / 10) + 1e-5);
        },
      ),
      { seed: 7 },
    );
  });

  test("transformed L1 and Hoyer-Square of one entry are thresholds with known values", () => {
    // HS of one entry is 1 unless it is zero: a hard threshold at √(2t).
    expect([...prox("hoyer_square", Float32Array.of(1.5), 1)]).toEqual([1.5]);
    expect([...prox("hoyer_square", Float32Array.of(1.4), 1)]).toEqual([0]);
    // u³ − 3u² + 2t = 0 at v = 2, t = 0.5: u = 1 + x with x the largest root.
    const [x] = prox("transformed_l1", Float32Array.of(2), 0.5) as unknown as [number];
    expect((1 + x) ** 3 - 3 * (1 + x) ** 2 + 1).toBeCloseTo(0, 5);
  });

  test("the derivative of Hoyer-Square vanishes at its proximal point to 1e-4", () => {
    const v = Float32Array.of(2, -1.5, 1.2, 0.3, -0.1, 0);
    const t = 0.2;
    const x = prox("hoyer_square", v, t);
    const sum = x.reduce((total, value) => total + Math.abs(value), 0);
    const squares = x.reduce((total, value) => total + value * value, 0);
    expect(x.some((value) => value === 0)).toBe(true);
    x.forEach((value, i) => {
      if (value === 0) return;
      const slope = (2 * Math.sign(value) * sum * (squares - Math.abs(value) * sum)) / squares ** 2;
      expect(Math.abs(value - v[i]! + t * slope)).toBeLessThan(1e-4);
    });
  });

  test("Group Hoyer-Square shrinks rows and channels as a whole", () => {
    const shape = { rows: 3, columns: 4, segment: 2 };
    const v = Float32Array.of(2, 0.1, 2, 0.1, 2, 0.1, 2, 0.1, 0.1, 0.01, 0.1, 0.01);
    REGULARIZERS.group_hoyer_square.prox(v, 0.5, shape);
    // The weak last row and the weak second channel (columns 1 and 3) go; the rest stays.
    expect([...v].map((value) => value !== 0)).toEqual([1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0].map(Boolean));
  });

  test("zeros stay zeros, and no strength gives NaN", () => {
    for (const name of Object.keys(REGULARIZERS) as RegularizerName[]) {
      for (const t of [0, 1e-30, 1, 1e30]) {
        const x = prox(name, Float32Array.of(0, 0, 0, 1e-20, 1e10), t);
        expect(x.slice(0, 3)).toEqual(Float32Array.of(0, 0, 0));
        expect(x.every(Number.isFinite)).toBe(true);
        expect(prox(name, new Float32Array(4), t)).toEqual(new Float32Array(4));
      }
    }
  });
});
