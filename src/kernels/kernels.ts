import type { FloatArray } from "./reference/matmul.ts";

/**
 * The numeric kernels that the methods are built on: one interface, several homes. `reference/` is slow and obvious and
 * computes in double precision; `wasm/` is what jobs run on.
 *
 * Matrices are row major. Every call is synchronous, copies nothing of its arguments into results and keeps nothing
 * between calls, so that two jobs may share a home. The same home gives the same bits on every host.
 */
export interface Kernels {
  readonly name: string;

  /** Bytes of WASM memory that the largest call so far has taken; nothing is kept of much more than 32 MiB. */
  memoryBytes(): number;

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
   * U, upper triangular, with H⁻¹ = Uᵀ·U, as OBS walks it (SparseGPT, §3.3), by double precision within.
   * @throws NotPositiveDefiniteError
   */
  inverseFactor(h: FloatArray, n: number): Float32Array;

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

  /**
   * The order in which the exact greedy of optimal brain compression takes entries of each row of W (m × n), `zeros` of every
   * `group` columns, which divides n (Frantar, Singh and Alistarh 2022, Algorithm 1): the entry of least w²/[H⁻¹]_cc goes, of equals
   * the leftmost, the others make up for it, its row and column leave H⁻¹, and so on.
   *
   * @param inverseFactor U, H⁻¹ = Uᵀ·U
   */
  obsOrder(
    w: Float32Array,
    inverseFactor: Float32Array,
    m: number,
    n: number,
    zeros: number,
    group: number,
  ): ObsOrder;

  /**
   * The scale of every row of W (m × n), or of every group of columns in it, for which the nearest levels have little
   * Σ_c weight_c·(w_c − scale·level_c)²: the best of some shares of the scale that clips nothing, then of steps about it, refined by
   * least squares. 0 where all weights are zero; negative where the levels suit −W better.
   *
   * @param weights of the n columns, not negative
   */
  fitScales(w: Float32Array, weights: Float32Array, levels: EvenLevels, half: boolean): Float32Array;

  /**
   * Index, from the least, of the level that is nearest to each w/scale, of two equally near ones the lower; of 0 where the
   * scale is 0.
   *
   * @param scales one a group
   */
  nearestCodes(w: Float32Array, scales: Float32Array, levels: EvenLevels): Uint8Array;

  /**
   * One step of FISTA (Beck & Teboulle 2009, §4) on ½·tr((X−W)·H·(X−W)ᵀ) + t·norm·R(X): X is the proximal point of t·R at
   * forward + momentum·(forward − before), where `forward` and `before` are those of the last two points.
   */
  fistaStep(
    problem: ProximalProblem,
    forward: Float32Array,
    before: Float32Array,
    momentum: number,
    t: number,
  ): FistaPoint;

  /**
   * One step of ADMM on min ½·tr((X−W)·H·(X−W)ᵀ), X = Z, Z in a pattern (ALPS, Meng et al. 2024, Algorithm 1), from one point
   * that is projected onto the pattern to the next: relaxation·X + (1 − relaxation)·Z + U, where X minimises
   * ½·tr((X−W)·H·(X−W)ᵀ) + ½·penalty·‖X − Z + U‖². A projection leaves each entry of V in Z or in the scaled dual U: Z = V
   * where `zeroed` is 0, U = decay·V where it is 1.
   */
  admmStep(problem: AdmmProblem, v: Float32Array, zeroed: Uint8Array, step: AdmmStep): Float32Array;
}

/** A layer that a regulariser makes sparse. */
export interface ProximalProblem {
  readonly m: number;
  readonly n: number;
  /** Columns from one kernel position to the next, which divide n: columns so far apart are one input channel. */
  readonly segment: number;
  /** m × n. */
  readonly w: Float32Array;
  /** n × n, symmetric, or the n entries of its diagonal where there is nothing else. */
  readonly h: Float32Array;
  /** At least the largest eigenvalue of H. */
  readonly norm: number;
  readonly regularizer: RegularizerName;
}

/**
 * Σ|x|; the number of non-zeros; (Σ|x|)²/Σx² of the entries (DeepHoyer, Yang et al. 2020), or of the norms of the rows plus that
 * of the input channels; Σ 2|x|/(1+|x|) (Zhang & Xin 2018).
 */
export type RegularizerName = "l1" | "l0" | "hoyer_square" | "group_hoyer_square" | "transformed_l1";

export interface FistaPoint {
  /** m × n. */
  readonly x: Float32Array;
  /** The gradient step from it, X − (X−W)·H/norm. */
  readonly forward: Float32Array;
  /** tr((X−W)·H·(X−W)ᵀ). */
  readonly error: number;
  /** R(X). */
  readonly penalty: number;
}

/** A layer that is to be pruned, and H = vectors·diag(values)·vectorsᵀ, eigenvectors as columns. */
export interface AdmmProblem {
  readonly m: number;
  readonly n: number;
  /** m × n. */
  readonly w: Float32Array;
  /** Not negative. */
  readonly values: Float64Array;
  /** n × n. */
  readonly vectors: Float32Array;
}

export interface AdmmStep {
  /** Positive. */
  readonly penalty: number;
  /** What the dual is multiplied by: the last penalty over this one. */
  readonly decay: number;
  /** 1 for none (Boyd et al. 2011, §3.4.3). */
  readonly relaxation: number;
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

/** What goes from each row, m × (zeros · n / group), and what each costs when it goes. */
export interface ObsOrder {
  readonly columns: Int32Array;
  readonly losses: Float64Array;
}

/** The whole numbers from `least` (below 0) to `most` (0 or more), 256 of them at most, that weights stand for in units of a scale. */
export interface EvenLevels {
  readonly least: number;
  readonly most: number;
  /** Columns that share a scale, a divisor of them; all of them for one scale a row. */
  readonly group: number;
}

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
