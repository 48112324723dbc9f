import { symmetricEigen } from "./eigen.ts";
import { gram } from "./matmul.ts";

/** A = U·diag(singular)·Vᵀ of a tall A (m × n); `right` is V, n × n, row major, one right vector a column. */
export interface RightSvd {
  readonly singular: Float64Array;
  readonly right: Float64Array;
}

/**
 * Singular values and right singular vectors of a tall matrix, through its Gram matrix AᵀA.
 *
 * For matrices of few columns (k² of a kernel, 121 at most here), however many rows. Since V is orthogonal to
 * double precision, A·V·Vᵀ gives A back exactly; the price of the Gram matrix is that singular values under
 * 1e-8 of the largest are noise.
 *
 * @param at element (row, column) of A, which has to be finite
 */
export function rightSvd(m: number, n: number, at: (row: number, column: number) => number): RightSvd {
  const { values, vectors } = symmetricEigen(gram(m, n, at), n);
  return { singular: values.map((value) => Math.sqrt(Math.max(value, 0))), right: vectors };
}

/**
 * The part of ‖A‖² that each truncation throws away: entry d is Σ_{j ≥ d} σ_j² / Σ σ_j² (d = 0 … n), which by
 * Eckart and Young is the least relative error of any matrix of rank d. Zero for a zero matrix.
 */
export function tailEnergy(singular: Float64Array): Float64Array {
  const n = singular.length;
  const tail = new Float64Array(n + 1);
  for (let j = n - 1; j >= 0; j--) tail[j] = tail[j + 1]! + singular[j]! ** 2;
  const total = tail[0]!;
  return total > 0 ? tail.map((energy) => energy / total) : tail;
}
