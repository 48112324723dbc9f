import type { FloatArray } from "../../src/kernels/reference/matmul.ts";

/** Seeded numbers in [-1, 1): a linear congruential generator. */
export function numbers(count: number, seed = 1): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 1073741824 - 1;
  });
}

/** The same in single precision. */
export function singles(count: number, seed = 1): Float32Array {
  return Float32Array.from(numbers(count, seed));
}

/** Aᵀ, n × m, of a row-major A, m × n. */
export function transpose(a: FloatArray, m: number, n: number): Float64Array {
  return Float64Array.from({ length: m * n }, (_, i) => a[(i % m) * n + Math.floor(i / m)]!);
}

export function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
}

/** A symmetric positive definite matrix: the Gram matrix of `rows` seeded rows, and `damping` on the diagonal. */
export function positiveDefinite(n: number, rows: number, damping: number, seed = 1): Float64Array {
  const x = numbers(rows * n, seed);
  const a = new Float64Array(n * n);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) a[i * n + j]! += (x[r * n + i]! * x[r * n + j]!) / rows;
    }
  }
  for (let i = 0; i < n; i++) a[i * n + i]! += damping;
  return a;
}

/** Largest |a − b|; NaN where any entry is. */
export function largestDifference(a: FloatArray, b: FloatArray): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} entries against ${b.length}`);
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= most)) most = difference;
  }
  return most;
}

/** Largest |a − b| in units of the largest |b|; 0 between zeros. */
export function relativeDifference(a: FloatArray, b: FloatArray): number {
  let scale = 0;
  for (const x of b) scale = Math.max(scale, Math.abs(x));
  return largestDifference(a, b) / (scale || 1);
}
