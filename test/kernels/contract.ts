import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Kernels,
  NotFiniteError,
  NotPositiveDefiniteError,
  type ObsMask,
} from "../../src/kernels/kernels.ts";
import { referenceKernels as reference } from "../../src/kernels/reference/kernels.ts";
import { matmul } from "../../src/kernels/reference/matmul.ts";
import { everyKernel, problem } from "./every-kernel.ts";
import {
  identity,
  largestDifference,
  numbers,
  positiveDefinite,
  relativeDifference,
  singles,
  transpose,
} from "./matrices.ts";

/** Sizes of one, odd, and around the tiles and blocks of the WASM home. */
const PRODUCTS: readonly [number, number, number][] = [
  [1, 1, 1],
  [1, 7, 1],
  [6, 256, 8],
  [7, 257, 9],
  [5, 3, 17],
  [97, 31, 65],
  [13, 600, 523],
];
const SIZES = [1, 2, 3, 7, 16, 33, 64, 97];
const SHAPES: readonly [number, number][] = [
  [1, 1],
  [1, 9],
  [3, 17],
  [5, 64],
  [34, 41],
  [130, 67],
];

/** What every home of the kernels has to do; the bounds are those of the WASM home's single precision. */
export function describeKernels(host: string, home: () => Promise<Kernels>): void {
  describe(`the kernel contract of ${host}`, () => {
    test("products agree with double precision to 2e-6 · √k, at every size and strided either way", async () => {
      const kernels = await home();
      for (const [m, k, n] of PRODUCTS) {
        const [a, b] = [singles(m * k, 1), singles(k * n, 2)];
        const expected = matmul(a, b, m, k, n);
        const bound = 2e-6 * Math.sqrt(k);
        expect(largestDifference(kernels.matmul(a, b, m, k, n), expected)).toBeLessThan(bound);
        const bt = Float32Array.from(transpose(b, k, n));
        expect(largestDifference(kernels.matmulTransposed(a, bt, m, k, n), expected)).toBeLessThan(bound);
      }
    });

    test("an empty sum is zero", async () => {
      const kernels = await home();
      expect([...kernels.matmul(singles(0), singles(0), 2, 0, 2)]).toEqual([0, 0, 0, 0]);
      expect(kernels.matmul(singles(0), singles(4), 0, 2, 2).length).toBe(0);
    });

    test("Gram matrices are added in place, symmetric to the bit, and agree to 1e-6 of the largest entry", async () => {
      const kernels = await home();
      for (const [rows, n] of [...SHAPES, [700, 19], [3, 523]] as const) {
        const x = singles(rows * n, n);
        const gram = Float32Array.from(positiveDefinite(n, 1, 1));
        const before = gram.slice();
        kernels.addGram(gram, x, rows, n);
        const added = matmul(transpose(x, rows, n), x, n, rows, n);
        const expected = added.map((value, i) => value + before[i]!);
        expect(relativeDifference(gram, expected)).toBeLessThan(1e-6);
        expect(largestDifference(Float32Array.from(transpose(gram, n, n)), gram)).toBe(0);
      }
    });

    test("Cholesky: L·Lᵀ is A to 1e-14, and L is lower", async () => {
      const kernels = await home();
      for (const n of SIZES) {
        const a = positiveDefinite(n, n, 0.01, n);
        const l = kernels.cholesky(a, n);
        expect(relativeDifference(matmul(l, transpose(l, n, n), n, n, n), a)).toBeLessThan(1e-14);
        expect(l.every((x, i) => i % n <= Math.floor(i / n) || x === 0)).toBe(true);
      }
    });

    test("solving with the factor gives back X to 1e-11", async () => {
      const kernels = await home();
      for (const n of SIZES) {
        for (const m of [1, 2, 5, 70]) {
          const a = positiveDefinite(n, n, 0.01, n);
          const x = numbers(n * m, m);
          const solved = kernels.solveCholesky(kernels.cholesky(a, n), matmul(a, x, n, n, m), n, m);
          expect(largestDifference(solved, x)).toBeLessThan(1e-11);
        }
      }
    });

    test("U of H⁻¹ = Uᵀ·U is upper, and H·Uᵀ·U is I to 1e-4 at condition 1e3", async () => {
      const kernels = await home();
      for (const n of SIZES) {
        const h = positiveDefinite(n, n, 0.01, n);
        const u = kernels.inverseFactor(h, n);
        const product = matmul(h, matmul(transpose(u, n, n), u, n, n, n), n, n, n);
        expect(largestDifference(product, identity(n))).toBeLessThan(1e-4);
        expect(u.every((x, i) => i % n >= Math.floor(i / n) || x === 0)).toBe(true);
        const single = Float32Array.from(h);
        expect(kernels.inverseFactor(single, n)).toEqual(kernels.inverseFactor(Float64Array.from(single), n));
      }
    });

    test.each([
      ["zero", 3, new Float64Array(9)],
      ["one of a negative eigenvalue", 2, Float64Array.of(1, 2, 2, 1)],
      ["one of rank 1", 2, Float64Array.of(1, 1, 1, 1)],
      ["one of rank 39", 70, positiveDefinite(70, 39, 0)],
      ["one with NaN", 2, Float64Array.of(1, Number.NaN, Number.NaN, 1)],
    ])("a matrix that is not positive definite is refused: %s", async (_, n, a) => {
      const kernels = await home();
      expect(() => kernels.cholesky(a, n)).toThrow(NotPositiveDefiniteError);
      expect(() => kernels.inverseFactor(a, n)).toThrow(NotPositiveDefiniteError);
    });

    test("the scale of a matrix does not decide whether it is positive definite", async () => {
      const kernels = await home();
      for (const scale of [1e-30, 1e30]) {
        const a = positiveDefinite(9, 9, 0.1).map((x) => x * scale);
        expect(kernels.inverseFactor(a, 9).every(Number.isFinite)).toBe(true);
      }
      const tiny = identity(3).map((x) => x * 1e-100);
      expect(() => kernels.inverseFactor(tiny, 3)).toThrow(NotPositiveDefiniteError);
    });

    test("eigenvectors are orthonormal and A·V = V·Λ to 1e-13 · √n, eigenvalues fall", async () => {
      const kernels = await home();
      for (const n of SIZES) expectEigen(kernels, symmetric(n, n), n);
    });

    test("eigen: zero, identity, one direction, repeated, graded and tiny matrices are no special case", async () => {
      const kernels = await home();
      const n = 20;
      expectEigen(kernels, new Float64Array(n * n), n);
      expectEigen(kernels, identity(n), n);
      expectEigen(kernels, positiveDefinite(n, 1, 0), n);
      expectEigen(kernels, positiveDefinite(n, 3, 2), n);
      const graded = symmetric(n, 3).map((x, i) => x * 10 ** -((i % n) + Math.floor(i / n)));
      expectEigen(kernels, graded, n);
      expectEigen(
        kernels,
        symmetric(n, 4).map((x) => x * 1e-100),
        n,
      );
    });

    test("eigenvalues of the second-difference matrix are 2 − 2cos(πj/(n+1)) to 1e-13", async () => {
      const n = 50;
      const a = new Float64Array(n * n);
      for (let i = 0; i < n; i++) {
        a[i * n + i] = 2;
        if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
      }
      const angles = Float64Array.from({ length: n }, (_, j) => (Math.PI * (n - j)) / (n + 1));
      const { values } = (await home()).eigen(a, n);
      expect(
        largestDifference(
          values,
          angles.map((angle) => 2 - 2 * Math.cos(angle)),
        ),
      ).toBeLessThan(1e-13);
    });

    test("SVD: U·diag(s)·Vᵀ is A to 1e-13, both orthonormal to 1e-12, s agrees to 1e-13", async () => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        for (const [rows, columns] of [
          [m, n],
          [n, m],
        ] as const) {
          const a = numbers(rows * columns, m);
          const { u, s, v } = expectSvd(kernels, a, rows, columns);
          const r = Math.min(rows, columns);
          expect(largestDifference(matmul(transpose(u, rows, r), u, r, rows, r), identity(r))).toBeLessThan(
            1e-12,
          );
          expect(
            largestDifference(matmul(transpose(v, columns, r), v, r, columns, r), identity(r)),
          ).toBeLessThan(1e-12);
          expect(relativeDifference(s, reference.svd(a, rows, columns).s)).toBeLessThan(1e-13);
        }
      }
    });

    test("SVD: small singular values keep their digits, to 1e-13 of the largest over 14 decades", async () => {
      const kernels = await home();
      const [m, n] = [40, 12];
      const { u, v } = reference.svd(numbers(m * n), m, n);
      const s = Float64Array.from({ length: n }, (_, j) => 10 ** (-14 * (j / (n - 1))));
      const a = matmul(
        u.map((x, i) => x * s[i % n]!),
        transpose(v, n, n),
        m,
        n,
        n,
      );
      expect(relativeDifference(expectSvd(kernels, a, m, n).s, s)).toBeLessThan(1e-13);
    });

    test("SVD: zero, rank one and constant matrices give finite vectors", async () => {
      const kernels = await home();
      expectSvd(kernels, new Float64Array(12), 4, 3);
      expectSvd(kernels, new Float64Array(12).fill(-3), 3, 4);
      expectSvd(
        kernels,
        Float64Array.from({ length: 60 }, (_, i) => ((i % 6) - 2) * Math.floor(i / 6)),
        10,
        6,
      );
    });

    test("a matrix with NaN or infinity is not decomposed", async () => {
      const kernels = await home();
      for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
        const a = Float64Array.of(1, bad, bad, 1);
        expect(() => kernels.eigen(a, 2)).toThrow(NotFiniteError);
        expect(() => kernels.svd(a, 2, 2)).toThrow(NotFiniteError);
      }
    });

    test.each([
      { kind: "unstructured", ratio: 0.5, blockSize: 16 },
      { kind: "unstructured", ratio: 0.3, blockSize: 128 },
      { kind: "unstructured", ratio: 1, blockSize: 5 },
      { kind: "unstructured", ratio: 0, blockSize: 5 },
      { kind: "n:m", zeros: 2, group: 4, blockSize: 16 },
      { kind: "n:m", zeros: 1, group: 5, blockSize: 17 },
      { kind: "n:m", zeros: 12, group: 24, blockSize: 8 },
    ] as const)("OBS pruning agrees with the published algorithm to 1e-4: $kind %#", async (mask) => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        const { w, u } = problem(m, n);
        const pruned = kernels.obsPrune(w, u, m, n, mask);
        expect(relativeDifference(pruned, reference.obsPrune(w, u, m, n, mask))).toBeLessThan(1e-4);
        if (mask.kind === "unstructured") {
          expect(zeros(pruned)).toBe(Math.round(mask.ratio * m * n));
        } else expect(zeros(pruned)).toBe(m * Math.floor(n / mask.group) * mask.zeros);
      }
    });

    test("OBS with a given mask prunes exactly that, does nothing where nothing is marked, agrees to 1e-4", async () => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        const { w, u } = problem(m, n);
        const pruned = Uint8Array.from(numbers(m * n, 9), (x) => (x < 0 ? 1 : 0));
        const mask = { kind: "given", pruned, blockSize: 32 } as const;
        const result = kernels.obsPrune(w, u, m, n, mask);
        expect(relativeDifference(result, reference.obsPrune(w, u, m, n, mask))).toBeLessThan(1e-4);
        expect(result.every((x, i) => (x === 0) === (pruned[i] === 1))).toBe(true);
        const none = { kind: "given", pruned: new Uint8Array(m * n), blockSize: 32 } as const;
        expect(kernels.obsPrune(w, u, m, n, none)).toEqual(w);
      }
    });

    test("OBS: of equal scores those that come first row by row go, exactly as many as asked", async () => {
      const kernels = await home();
      const [m, n] = [6, 8];
      const u = Float32Array.from(identity(n));
      const mask: ObsMask = { kind: "unstructured", ratio: 0.25, blockSize: n };
      const pruned = kernels.obsPrune(new Float32Array(m * n).fill(2), u, m, n, mask);
      expect([...pruned]).toEqual([...new Array(12).fill(0), ...new Array(36).fill(2)]);
      expect([...kernels.obsPrune(new Float32Array(m * n), u, m, n, mask)].every((x) => x === 0)).toBe(true);
    });

    test("OBS loses less than pruning the same entries without compensation, on every seed", async () => {
      const kernels = await home();
      const [m, n] = [20, 48];
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 1e6 }),
          fc.double({ min: 0.1, max: 0.9, noNaN: true }),
          (seed, ratio) => {
            const { w, u, h } = problem(m, n, seed);
            const pruned = kernels.obsPrune(w, u, m, n, { kind: "unstructured", ratio, blockSize: 16 });
            const plain = w.map((x, i) => (pruned[i] === 0 ? 0 : x));
            expect(loss(w, pruned, h, m, n)).toBeLessThan(loss(w, plain, h, m, n));
          },
        ),
        { numRuns: 20 },
      );
    });

    test("OBS rounding: values are scale · code exactly, codes keep to the grid, agree to 1e-4", async () => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        for (const group of [n, 8]) {
          const { w, u } = problem(m, n);
          const groups = Math.ceil(n / group);
          const scales = singles(m * groups, 5).map((x) => Math.fround(0.12 + 0.02 * x));
          const grid = { least: -8, most: 7, scales, group, keepZeros: false, blockSize: 32 };
          const { codes, values } = kernels.obsQuantize(w, u, m, n, grid);
          const expected = reference.obsQuantize(w, u, m, n, grid);
          expect(codes).toEqual(expected.codes);
          expect(relativeDifference(values, expected.values)).toBeLessThan(1e-4);
          expect(codes.every((code) => code >= -8 && code <= 7)).toBe(true);
          const scaleAt = (i: number) => scales[Math.floor(i / n) * groups + Math.floor((i % n) / group)]!;
          expect(values).toEqual(Float32Array.from(codes, (code, i) => Math.fround(scaleAt(i) * code)));
        }
      }
    });

    test("OBS rounding keeps zeros, takes a scale of zero, and rounds halves to even", async () => {
      const kernels = await home();
      const [m, n] = [9, 40];
      const { w, u } = problem(m, n);
      for (let i = 0; i < w.length; i += 3) w[i] = 0;
      const scales = new Float32Array(m).fill(0.01);
      scales[4] = 0;
      const grid = { least: -127, most: 127, scales, group: n, keepZeros: true, blockSize: 16 };
      const { codes, values } = kernels.obsQuantize(w, u, m, n, grid);
      expect(codes.every((code, i) => (w[i] !== 0 && Math.floor(i / n) !== 4) || code === 0)).toBe(true);
      expect(values.every(Number.isFinite)).toBe(true);
      const halves = kernels.obsQuantize(
        Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5),
        Float32Array.from(identity(5)),
        1,
        5,
        { least: -8, most: 7, scales: Float32Array.of(1), group: 5, keepZeros: false, blockSize: 5 },
      );
      expect([...halves.codes]).toEqual([0, 2, 2, 0, -2]);
    });

    test("exact OBS takes the same entries as the reference, n of n and in groups, losses agree to 1e-9", async () => {
      const kernels = await home();
      for (const [m, n] of SHAPES) {
        for (const [zeros, group] of [
          [n, n],
          [Math.ceil(n / 3), n],
          ...(n % 4 === 0 ? ([[2, 4]] as const) : []),
        ] as const) {
          const { w, u } = problem(m, n);
          const { columns, losses } = kernels.obsOrder(w, u, m, n, zeros, group);
          const expected = reference.obsOrder(w, u, m, n, zeros, group);
          expect(columns).toEqual(expected.columns);
          expect(relativeDifference(losses, expected.losses)).toBeLessThan(1e-9);
        }
      }
      const equal = kernels.obsOrder(new Float32Array(8), Float32Array.from(identity(8)), 1, 8, 1, 2);
      expect([...equal.columns]).toEqual([0, 2, 4, 6]);
    });

    test("arguments stay as they are, and a call leaves nothing for the next, whatever the memory did", async () => {
      const kernels = await home();
      const matrices = problem(37, 71);
      const before = everyKernel(kernels, matrices);
      expect(matrices).toEqual(problem(37, 71));
      const big = 800;
      kernels.matmul(singles(big * big), singles(big), big, big, 1);
      kernels.obsPrune(new Float32Array(30 * 500).fill(Number.NaN), new Float32Array(500 * 500), 30, 500, {
        kind: "unstructured",
        ratio: 0.5,
        blockSize: 128,
      });
      expect(everyKernel(kernels, matrices)).toEqual(before);
    });
  });
}

function loss(w: Float32Array, changed: Float32Array, h: Float64Array, m: number, n: number): number {
  const difference = Float64Array.from(changed, (x, i) => x - w[i]!);
  return matmul(difference, h, m, n, n).reduce((sum, x, i) => sum + x * difference[i]!, 0);
}

function zeros(w: Float32Array): number {
  return w.reduce((count, x) => count + (x === 0 ? 1 : 0), 0);
}

function symmetric(n: number, seed: number): Float64Array {
  const half = numbers(n * n, seed);
  return half.map((x, i) => x + half[(i % n) * n + Math.floor(i / n)]!);
}

function expectEigen(kernels: Kernels, a: Float64Array, n: number): void {
  const { values, vectors } = kernels.eigen(a, n);
  const bound = 1e-13 * Math.sqrt(n);
  expect(largestDifference(matmul(transpose(vectors, n, n), vectors, n, n, n), identity(n))).toBeLessThan(
    bound,
  );
  const scale = a.reduce((most, x) => Math.max(most, Math.abs(x)), 0) || 1;
  const scaled = vectors.map((x, i) => x * values[i % n]!);
  expect(largestDifference(matmul(a, vectors, n, n, n), scaled) / scale).toBeLessThan(bound * n);
  expect([...values]).toEqual([...values].sort((x, y) => y - x));
  for (let j = 0; j < n; j++) {
    const column = Array.from({ length: n }, (_, i) => vectors[i * n + j]!);
    expect(Math.max(...column)).toBe(Math.max(...column.map(Math.abs)));
  }
}

function expectSvd(kernels: Kernels, a: Float64Array, m: number, n: number): ReturnType<Kernels["svd"]> {
  const r = Math.min(m, n);
  const { u, s, v } = kernels.svd(a, m, n);
  const scaled = u.map((x, i) => x * s[i % r]!);
  expect(largestDifference(matmul(scaled, transpose(v, n, r), m, r, n), a)).toBeLessThan(
    1e-13 * Math.max(1, s[0] ?? 0),
  );
  expect([...s].every((x, j) => x >= 0 && (j === 0 || x <= s[j - 1]!))).toBe(true);
  return { u, s, v };
}
