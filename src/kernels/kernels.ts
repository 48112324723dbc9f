/**
 * The numeric kernels that the methods are built on: one interface, several homes. `reference/` is slow and obvious and
 * computes in double precision; `wasm/` is what jobs run on.
 *
 * Matrices are row major. Every call is synchronous, copies nothing of its arguments into results and keeps nothing
 * between calls, so that two jobs may share a home. The same home gives the same bits on every host.
 */
export interface Kernels {
  readonly name: string;

  /** C = A·B: A m × k, B k × n, C m × n. */
  matmul(a: Float32Array, b: Float32Array, m: number, k: number, n: number): Float32Array;

  /** C = A·Bᵀ: A m × k, B n × k, C m × n. */
  matmulTransposed(a: Float32Array, b: Float32Array, m: number, k: number, n: number): Float32Array;

  /** G += XᵀX in place, all of the symmetric G: X rows × n, G n × n. */
  addGram(gram: Float32Array, x: Float32Array, rows: number, n: number): void;

  /**
   * Lower Cholesky factor L of a symmetric positive definite A = L·Lᵀ; entries above the diagonal are zero. A pivot that
   * has lost all but n roundings of its diagonal entry counts as zero, whatever the scale of A.
   * @throws NotPositiveDefiniteError
   */
  cholesky(a: Float64Array, n: number): Float64Array;

  /** X of L·Lᵀ·X = B: L n × n lower, B n × m. */
  solveCholesky(l: Float64Array, b: Float64Array, n: number, m: number): Float64Array;

  /**
   * U, upper triangular, with H⁻¹ = Uᵀ·U, as OBS walks it (SparseGPT, §3.3).
   * @throws NotPositiveDefiniteError
   */
  inverseFactor(h: Float64Array, n: number): Float32Array;

  /**
   * Eigenvalues in falling order, eigenvectors as columns of `vectors` (n × n), each with its largest entry positive.
   * @throws NotFiniteError
   */
  eigen(a: Float64Array, n: number): { values: Float64Array; vectors: Float64Array };

  /**
   * A = U·diag(s)·Vᵀ with r = min(m, n): U m × r, s falling, V n × r. The vectors of the shorter side are orthonormal,
   * each with its largest entry positive; those of the longer side are zero where s is below 1e-15 of the largest.
   * @throws NotFiniteError
   */
  svd(a: Float64Array, m: number, n: number): { u: Float64Array; s: Float64Array; v: Float64Array };

  /**
   * Optimal-brain-surgeon pruning of W (m × n) with the error of each pruned entry pushed onto the columns to its right,
   * lazily a block of columns at a time (SparseGPT, Algorithm 1). W is not changed.
   */
  obsPrune(w: Float32Array, inverseFactor: Float32Array, m: number, n: number, mask: ObsMask): Float32Array;

  /**
   * The same walk with rounding in place of pruning (GPTQ, Algorithm 1). Entries that are exactly zero where
   * `grid.keepZeros` is set stay zero.
   */
  obsQuantize(
    w: Float32Array,
    inverseFactor: Float32Array,
    m: number,
    n: number,
    grid: QuantizationGrid,
  ): QuantizedMatrix;
}

/** Which entries OBS may prune. */
export type ObsMask =
  /**
   * In each block of `blockSize` columns the share `ratio` of all its entries of smallest w²/U_jj², of equals those that
   * come first row by row. Counts are rounded so that they add up to round(ratio · m · n).
   */
  | { readonly kind: "unstructured"; readonly ratio: number; readonly blockSize: number }
  /** `n` zeros in every `m` consecutive entries of a row; a shorter rest at the end of a row is not pruned. Blocks are whole groups. */
  | { readonly kind: "n:m"; readonly zeros: number; readonly group: number; readonly blockSize: number }
  /** Exactly the entries that are marked 1. */
  | { readonly kind: "given"; readonly pruned: Uint8Array; readonly blockSize: number };

/** Codes are round(w / scale), half to even, clamped to [least, most], 0 where the scale is 0; w ≈ scale · code. */
export interface QuantizationGrid {
  readonly least: number;
  readonly most: number;
  /** m × ceil(n / group). */
  readonly scales: Float32Array;
  /** Columns that share a scale; n for one scale a row. */
  readonly group: number;
  readonly keepZeros: boolean;
  readonly blockSize: number;
}

export interface QuantizedMatrix {
  /** m × n. */
  readonly codes: Int8Array;
  /** scale · code, m × n. */
  readonly values: Float32Array;
}

/** A matrix that has to be positive definite is not; more damping makes it so. */
export class NotPositiveDefiniteError extends Error {
  override readonly name = "NotPositiveDefiniteError";
  constructor(n: number) {
    super(`the ${n} × ${n} matrix is not positive definite; it needs more damping`);
  }
}

/** A matrix that is to be decomposed has an entry that is NaN or infinite. */
export class NotFiniteError extends Error {
  override readonly name = "NotFiniteError";
  constructor() {
    super("the matrix has an entry that is not a finite number");
  }
}

/** @throws NotFiniteError */
export function requireFinite(a: Float64Array): void {
  for (let i = 0; i < a.length; i++) if (!Number.isFinite(a[i])) throw new NotFiniteError();
}
