import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { symmetricEigen } from "../../src/kernels/reference/eigen.ts";
import { roundedToHalf } from "../../src/kernels/reference/half.ts";
import { gram, matmul } from "../../src/kernels/reference/matmul.ts";
import {
  bitsOf,
  smallest,
  threshold,
  thresholdOver,
  withoutSmallest,
} from "../../src/kernels/reference/select.ts";
import { tailEnergy, thinSvd } from "../../src/kernels/reference/svd.ts";
import { halfRounding } from "../../src/onnx/constant/half.ts";
import { identity, largestDifference, numbers, singles, transpose } from "./matrices.ts";

describe("matmul and gram", () => {
  test("a 2×3 by 3×2 product is exact", () => {
    const a = Float64Array.of(1, 2, 3, 4, 5, 6);
    const b = Float64Array.of(7, 8, 9, 10, 11, 12);
    expect([...matmul(a, b, 2, 3, 2)]).toEqual([58, 64, 139, 154]);
  });

  test("the Gram matrix is AᵀA to 1e-13", () => {
    const a = numbers(40 * 7);
    const expected = matmul(transpose(a, 40, 7), a, 7, 40, 7);
    expect(
      largestDifference(
        gram(40, 7, (r, c) => a[r * 7 + c]!),
        expected,
      ),
    ).toBeLessThan(1e-13);
  });
});

describe("symmetricEigen", () => {
  test("a 2×2 matrix has its closed form to 1e-15", () => {
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
    const s = Math.SQRT1_2;
    expect(largestDifference(values, Float64Array.of(3, 1))).toBeLessThan(1e-15);
    expect(Math.abs(vectors[0]! - s) + Math.abs(vectors[2]! - s)).toBeLessThan(1e-15);
  });

  test("the second-difference matrix has eigenvalues 2 − 2cos(πj/(n+1)) to 1e-13", () => {
    const n = 25;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
    }
    const expected = Float64Array.from(
      { length: n },
      (_, j) => 2 - 2 * Math.cos((Math.PI * (n - j)) / (n + 1)),
    );
    expect(largestDifference(symmetricEigen(a, n).values, expected)).toBeLessThan(1e-13);
  });

  test("eigenvectors are orthonormal and A·V = V·Λ, both to 1e-12, up to 121×121", () => {
    for (const n of [1, 2, 9, 25, 49, 121]) {
      const half = numbers(n * n, n);
      const a = Float64Array.from(half, (_, i) => half[i]! + half[(i % n) * n + Math.floor(i / n)]!);
      const { values, vectors } = symmetricEigen(a, n);
      expect(largestDifference(matmul(transpose(vectors, n, n), vectors, n, n, n), identity(n))).toBeLessThan(
        1e-12,
      );
      const scaled = Float64Array.from(vectors, (value, i) => value * values[i % n]!);
      expect(largestDifference(matmul(a, vectors, n, n, n), scaled)).toBeLessThan(1e-12);
      expect([...values]).toEqual([...values].sort((x, y) => y - x));
    }
  });

  test("zero, diagonal and repeated eigenvalues are no special case", () => {
    expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
    expect([...symmetricEigen(Float64Array.of(1, 0, 0, 0, 5, 0, 0, 0, 5), 3).values]).toEqual([5, 5, 1]);
  });
});

describe("tail energy", () => {
  test("the tail of a rank-one matrix is zero from rank one on, to 1e-15", () => {
    const a = Float64Array.from({ length: 50 * 4 }, (_, i) => (Math.floor(i / 4) + 1) * ((i % 4) - 1.5));
    const tail = tailEnergy(thinSvd(a, 50, 4).s);
    expect(tail[0]).toBe(1);
    expect(tail[1]).toBeLessThan(1e-15);
    expect(tail[4]).toBe(0);
  });

  test("truncation to rank d loses exactly the tail energy, to 1e-12", () => {
    const [m, n] = [128, 9];
    const a = numbers(m * n, 5);
    const { s, v } = thinSvd(a, m, n);
    const tail = tailEnergy(s);
    const total = a.reduce((sum, value) => sum + value * value, 0);
    for (let d = 0; d <= n; d++) {
      const kept = Float64Array.from(v, (value, i) => (i % n < d ? value : 0));
      const back = matmul(matmul(a, kept, m, n, n), transpose(kept, n, n), m, n, n);
      const lost = a.reduce((sum, value, i) => sum + (value - back[i]!) ** 2, 0) / total;
      expect(Math.abs(lost - tail[d]!)).toBeLessThan(1e-12);
    }
  });
});

test("numbers are rounded to half floats as the conversion by bits rounds them", () => {
  const byBits = halfRounding();
  const numbers = fc.oneof(fc.double({ noNaN: true }), fc.double({ min: -1e-3, max: 1e-3, noNaN: true }));
  const halfway = fc.nat(0x7bff).map((bits) => (bits + 0.5) * 2 ** -24);
  fc.assert(
    fc.property(fc.oneof(numbers, halfway), (x) => {
      expect(roundedToHalf(x)).toBe(byBits(x));
    }),
  );
});

describe("selection by magnitude", () => {
  const floats = fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, -1, 0.5)), {
    minLength: 1,
    maxLength: 200,
  });

  test("exactly as many are marked as asked, none of them larger than one that stays", () => {
    fc.assert(
      fc.property(floats, fc.double({ min: 0, max: 1, noNaN: true }), (list, ratio) => {
        const values = Float32Array.from(list);
        const count = Math.round(ratio * values.length);
        const marks = smallest(values, count);
        const gone = [...values].filter((_, i) => marks[i] === 1).map(Math.abs);
        const kept = [...values].filter((_, i) => marks[i] === 0).map(Math.abs);
        expect(gone.length).toBe(count);
        expect(Math.max(...gone, 0)).toBeLessThanOrEqual(Math.min(...kept, Number.POSITIVE_INFINITY));
      }),
    );
  });

  test("thousands of weights, many of them equal, zero or denormal, are marked as sorting marks them", () => {
    const pool = [0, -0, 1, -1, 1e-40, -1e-40, 2e-40, 3e38, 0.5, Math.fround(0.1)];
    fc.assert(
      fc.property(fc.integer({ min: 4097, max: 6000 }), fc.nat(), fc.nat(6000), (length, seed, n) => {
        const own = singles(length, seed);
        const values = own.map((x, i) => (i % 3 === 0 ? x : pool[(i * 31 + seed) % pool.length]!));
        const count = Math.min(n, length);
        const sorted = Array.from(values, (x, i) => ({ size: Math.abs(x), i }));
        sorted.sort((a, b) => a.size - b.size || a.i - b.i);
        const expected = new Uint8Array(length);
        for (const { i } of sorted.slice(0, count)) expected[i] = 1;
        expect(smallest(values, count)).toEqual(expected);
        expect(withoutSmallest(values, count)).toEqual(values.map((x, i) => (expected[i] === 1 ? 0 : x)));
        expect(smallest(new Float32Array(length).fill(-2), count).lastIndexOf(1)).toBe(count - 1);
      }),
      { numRuns: 30 },
    );
  });

  test("of equal magnitudes the lower index goes first", () => {
    expect([...smallest(Float32Array.of(1, -1, 1, 2), 2)]).toEqual([1, 1, 0, 0]);
  });

  test("NaN counts as larger than everything", () => {
    expect([...smallest(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, 1), 2)]).toEqual([0, 1, 1]);
  });

  test("one threshold over several arrays is the threshold of their concatenation", async () => {
    await fc.assert(
      fc.asyncProperty(floats, floats, fc.nat(400), async (a, b, n) => {
        const arrays = [Float32Array.from(a), Float32Array.from(b)];
        const whole = Float32Array.from([...a, ...b]);
        const count = n % (whole.length + 1);
        const found = await thresholdOver(2, async (i) => arrays[i]!, count);
        expect(found).toEqual(threshold(bitsOf(whole), count));
      }),
    );
  });
});
