/** Row-major matrices of numbers: any typed array of floats. */
export type FloatArray = Float32Array | Float64Array;

/**
 * C = A·B in double precision, row major.
 *
 * @param a m × k
 * @param b k × n
 * @returns m × n
 */
export function matmul(a: FloatArray, b: FloatArray, m: number, k: number, n: number): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) {
      const factor = a[i * k + p]!;
      for (let j = 0; j < n; j++) c[i * n + j]! += factor * b[p * n + j]!;
    }
  }
  return c;
}

/**
 * G = AᵀA in double precision: symmetric, n × n, of a row-major A of m × n.
 *
 * `at` gives element (row, column), so that A may be a view of a tensor in another order and is never copied.
 */
export function gram(m: number, n: number, at: (row: number, column: number) => number): Float64Array {
  const g = new Float64Array(n * n);
  const row = new Float64Array(n);
  for (let r = 0; r < m; r++) {
    for (let j = 0; j < n; j++) row[j] = at(r, j);
    for (let i = 0; i < n; i++) {
      const factor = row[i]!;
      if (factor === 0) continue;
      for (let j = i; j < n; j++) g[i * n + j]! += factor * row[j]!;
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) g[i * n + j] = g[j * n + i]!;
  return g;
}
