import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Kernels, RegularizerName } from "../../src/kernels/kernels.ts";
import { matmul } from "../../src/kernels/reference/matmul.ts";
import { REGULARIZERS } from "../../src/kernels/reference/regularizers.ts";
import { admmStep, fistaStep } from "../../src/kernels/reference/steps.ts";
import { admmProblem, proximalProblem } from "./every-kernel.ts";
import { largestDifference, relativeDifference, singles } from "./matrices.ts";

const NAMES = Object.keys(REGULARIZERS) as RegularizerName[];
const ELEMENTWISE = ["l1", "l0", "hoyer_square", "transformed_l1"] as const;
/** Rows and columns, of one, odd, and more than a block of the products. */
const SHAPES: readonly [number, number][] = [
  [1, 1],
  [5, 3],
  [7, 33],
  [130, 66],
];

/** What the steps of FISTA and ADMM of every home have to do. */
export function describeSteps(host: string, home: () => Promise<Kernels>): void {
  describe(`the steps of FISTA of ${host}`, () => {
    test.each(NAMES)("%s: points, error and penalty agree with double precision to 1e-5", async (name) => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        const problem = proximalProblem(m, n, name);
        for (const [momentum, t] of [
          [0, 0],
          [0.7, 0.01],
          [0.2, 0.1],
        ] as const) {
          const [forward, before] = [singles(m * n, 5), singles(m * n, 6)];
          const point = kernels.fistaStep(problem, forward, before, momentum, t);
          const expected = fistaStep(problem, forward, before, momentum, t);
          expect(relativeDifference(point.x, expected.x)).toBeLessThan(1e-5);
          expect(relativeDifference(point.forward, expected.forward)).toBeLessThan(1e-5);
          expect(Math.abs(point.error - expected.error)).toBeLessThan(1e-5 * expected.error + 1e-12);
          expect(Math.abs(point.penalty - expected.penalty)).toBeLessThan(1e-5 * expected.penalty + 1e-12);
          expect(zeros(point.x)).toBe(zeros(expected.x));
        }
      }
    });

    test("a diagonal H gives what the whole matrix gives, to 1e-6", async () => {
      const kernels = await home();
      const [m, n] = [6, 9];
      const problem = proximalProblem(m, n, "l1");
      const diagonal = singles(n, 3).map((x) => 1.5 + x);
      const whole = new Float32Array(n * n);
      diagonal.forEach((x, i) => {
        whole[i * (n + 1)] = x;
      });
      const step = (h: Float32Array) =>
        kernels.fistaStep({ ...problem, h }, problem.w, singles(m * n, 4), 0.3, 0.05);
      expect(largestDifference(step(diagonal).forward, step(whole).forward)).toBeLessThan(1e-6);
    });

    test("without a penalty the steps go to W, to 1e-5", async () => {
      const kernels = await home();
      const problem = proximalProblem(6, 12, "l1");
      let point = kernels.fistaStep(problem, new Float32Array(72), new Float32Array(72), 0, 0);
      let before = point.forward;
      for (let i = 0; i < 400; i++) {
        const next = kernels.fistaStep(problem, point.forward, before, i / (i + 3), 0);
        before = point.forward;
        point = next;
      }
      expect(largestDifference(point.x, problem.w)).toBeLessThan(1e-5);
    });
  });

  describe(`the proximal operators of ${host}`, () => {
    test.each(ELEMENTWISE)("%s: no point of a grid around it costs less, to 1e-6", async (name) => {
      const kernels = await home();
      fc.assert(
        fc.property(vectors, strengths, (v, t) => {
          const x = prox(kernels, name, v, t);
          expect(cost(name, x, v, t)).toBeLessThanOrEqual(bruteForce(name, v, t) + 1e-6);
        }),
        { numRuns: 30, seed: 7 },
      );
    });

    test.each(ELEMENTWISE)("%s: no random vector of 40 entries near it costs less, to 1e-5", async (name) => {
      const kernels = await home();
      const long = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 40, maxLength: 40 });
      const sizes = fc.double({ min: 0, max: 0.3, noNaN: true });
      fc.assert(
        fc.property(long, long, strengths, sizes, (list, noise, t, size) => {
          const v = Float32Array.from(list);
          const x = prox(kernels, name, v, t / 10);
          const near = x.map((value, i) => value + size * noise[i]!);
          expect(cost(name, x, v, t / 10)).toBeLessThanOrEqual(cost(name, near, v, t / 10) + 1e-5);
        }),
        { seed: 7 },
      );
    });

    test("transformed L1 and Hoyer-Square of one entry are thresholds with known values", async () => {
      const kernels = await home();
      // HS of one entry is 1 unless it is zero: a hard threshold at √(2t).
      expect([...prox(kernels, "hoyer_square", Float32Array.of(1.5), 1)]).toEqual([1.5]);
      expect([...prox(kernels, "hoyer_square", Float32Array.of(1.4), 1)]).toEqual([0]);
      // u³ − 3u² + 2t = 0 at v = 2, t = 0.5: u = 1 + x with x the largest root.
      const [x] = prox(kernels, "transformed_l1", Float32Array.of(2), 0.5) as unknown as [number];
      expect((1 + x) ** 3 - 3 * (1 + x) ** 2 + 1).toBeCloseTo(0, 5);
    });

    test("the derivative of Hoyer-Square vanishes at its proximal point to 1e-4", async () => {
      const v = Float32Array.of(2, -1.5, 1.2, 0.3, -0.1, 0);
      const t = 0.2;
      const x = prox(await home(), "hoyer_square", v, t);
      const sum = x.reduce((total, value) => total + Math.abs(value), 0);
      const squares = x.reduce((total, value) => total + value * value, 0);
      expect(x.some((value) => value === 0)).toBe(true);
      x.forEach((value, i) => {
        if (value === 0) return;
        const slope = (2 * Math.sign(value) * sum * (squares - Math.abs(value) * sum)) / squares ** 2;
        expect(Math.abs(value - v[i]! + t * slope)).toBeLessThan(1e-4);
      });
    });

    test("Group Hoyer-Square shrinks rows and channels as a whole", async () => {
      const shape = { m: 3, n: 4, segment: 2 };
      const v = Float32Array.of(2, 0.1, 2, 0.1, 2, 0.1, 2, 0.1, 0.1, 0.01, 0.1, 0.01);
      const x = prox(await home(), "group_hoyer_square", v, 0.5, shape);
      // The weak last row and the weak second channel (columns 1 and 3) go; the rest stays.
      expect([...x].map((value) => value !== 0)).toEqual([1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0].map(Boolean));
    });

    test.each(NAMES)("%s: what becomes zero is a positive zero", async (name) => {
      const v = Float32Array.of(-0.1, 0.1, -0.2, -3, 3, -0.1);
      const x = prox(await home(), name, v, 0.5, { m: 2, n: 3, segment: 3 });
      expect(x.some((value) => value === 0)).toBe(true);
      expect(x.some((value) => Object.is(value, -0))).toBe(false);
    });

    test("zeros stay zeros, and no strength gives NaN", async () => {
      const kernels = await home();
      for (const name of NAMES) {
        for (const t of [0, 1e-30, 1, 1e30]) {
          const x = prox(kernels, name, Float32Array.of(0, 0, 0, 1e-20, 1e10), t);
          expect(x.slice(0, 3)).toEqual(Float32Array.of(0, 0, 0));
          expect(x.every(Number.isFinite)).toBe(true);
          expect(prox(kernels, name, new Float32Array(4), t)).toEqual(new Float32Array(4));
        }
      }
    });
  });

  describe(`the steps of ADMM of ${host}`, () => {
    const step = { penalty: 0.2, decay: 0.9, relaxation: 1.6 };

    test("agree with double precision to 1e-5", async () => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        const { problem } = admmProblem(m, n);
        const [v, zeroed] = [singles(m * n, 8), marks(m * n)];
        const next = kernels.admmStep(problem, v, zeroed, step);
        expect(relativeDifference(next, admmStep(problem, v, zeroed, step))).toBeLessThan(1e-5);
      }
    });

    test("without relaxation X + U solves the damped normal equations: X·(H + ρI) is W·H + ρ(Z − U) to 1e-5", async () => {
      const [m, n] = [9, 21];
      const { problem, h } = admmProblem(m, n);
      const [v, zeroed] = [singles(m * n, 8), marks(m * n)];
      const next = (await home()).admmStep(problem, v, zeroed, { ...step, relaxation: 1 });
      const u = v.map((value, i) => (zeroed[i] === 1 ? step.decay * value : 0));
      const x = next.map((value, i) => value - u[i]!);
      const damped = h.map((value, i) => value + (i % (n + 1) === 0 ? step.penalty : 0));
      const target = matmul(problem.w, h, m, n, n).map(
        (value, i) => value + step.penalty * (zeroed[i] === 1 ? -u[i]! : v[i]!),
      );
      expect(relativeDifference(matmul(x, damped, m, n, n), target)).toBeLessThan(1e-5);
    });

    test("W itself with nothing zero stays W, to 1e-6", async () => {
      const { problem } = admmProblem(4, 13);
      const next = (await home()).admmStep(problem, problem.w, new Uint8Array(52), step);
      expect(largestDifference(next, problem.w)).toBeLessThan(1e-6);
    });
  });
}

/** Proximal operator of t·R: a step from v with nothing but the penalty. */
function prox(
  kernels: Kernels,
  regularizer: RegularizerName,
  v: Float32Array,
  t: number,
  shape = { m: 1, n: v.length, segment: v.length },
): Float32Array {
  const [w, h] = [new Float32Array(v.length), new Float32Array(shape.n)];
  return kernels.fistaStep({ ...shape, w, h, norm: 1, regularizer }, v, v, 0, t).x;
}

/** ½‖x−v‖² + t·R(x) */
function cost(name: RegularizerName, x: Float32Array, v: Float32Array, t: number): number {
  const shape = { m: 1, n: v.length, segment: v.length };
  const distance = x.reduce((sum, value, i) => sum + (value - v[i]!) ** 2, 0);
  return distance / 2 + t * REGULARIZERS[name].value(Float64Array.from(x), shape);
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

function marks(count: number): Uint8Array {
  return Uint8Array.from(singles(count, 9), (x) => (x < 0 ? 1 : 0));
}

function zeros(x: Float32Array): number {
  return x.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
}
