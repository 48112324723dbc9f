import { type Kernels, NotPositiveDefiniteError } from "../../kernels/kernels.ts";
import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { InputMoments } from "../input-moments.ts";

/** Added to the diagonal of the second moments, as a share of its mean. */
export const DAMPING = 0.01;
/** The same of the moments about zero: what their single precision may leave where x hardly varies. */
const ROUNDING = 1e-6;
const MOST_ATTEMPTS = 6;

/** Second moments with all that has to be known to invert them. */
export interface Spread {
  readonly n: number;
  /** n × n: about the mean where a bias makes up for it, else about zero. */
  readonly matrix: Float64Array;
  /** What has to be added to the diagonal. */
  readonly damping: number;
}

/** null where only the diagonal was kept, or where x never varies. */
export function spreadOf(moments: InputMoments, aboutMean: boolean, damping = DAMPING): Spread | null {
  const { n, gram, mean } = moments;
  if (!gram) return null;
  const matrix = Float64Array.from(gram);
  let [about, zero] = [0, 0];
  for (let i = 0; i < n; i++) {
    zero += matrix[i * n + i]!;
    if (aboutMean) for (let j = 0; j < n; j++) matrix[i * n + j]! -= mean[i]! * mean[j]!;
    matrix[i * n + i] = Math.max(0, matrix[i * n + i]!);
    about += matrix[i * n + i]!;
  }
  const added = (damping * about + ROUNDING * zero) / n;
  return added > 0 && Number.isFinite(added) ? { n, matrix, damping: added } : null;
}

/** W with columns taken out and the others refitted. */
export interface Refit {
  /** rows × columns; zero in the columns that went. */
  readonly w: Float32Array;
  /** What the output loses on average, to go into the bias; zeros where `aboutMean` is false. */
  readonly shift: Float64Array;
}

/**
 * The least-squares fit of W·x by the columns that stay and a constant:
 * Ŵ_K = W_K + W_S·C_SK·(C_KK + damping)⁻¹ with C the covariance of x, and the constant W·E[x] − Ŵ_K·E[x_K]. What
 * is constant is thus made up for exactly, however much the damping. Without a constant (`aboutMean` false), C is G.
 * Where nothing more than the mean is known, only the constant is fitted.
 */
export function refitColumns(
  w: FloatArray,
  rows: number,
  removed: Uint8Array,
  moments: InputMoments,
  kernels: Kernels,
  aboutMean: boolean,
): Refit {
  const n = removed.length;
  const kept: number[] = [];
  const gone: number[] = [];
  removed.forEach((flag, i) => {
    (flag ? gone : kept).push(i);
  });
  const fitted = Float32Array.from(w);
  for (let r = 0; r < rows; r++) for (const c of gone) fitted[r * n + c] = 0;
  const spread = kept.length > 0 ? spreadOf(moments, aboutMean) : null;
  const change = spread && leastSquares(w, rows, kept, gone, spread, kernels);
  if (change) {
    for (let r = 0; r < rows; r++) {
      kept.forEach((c, k) => {
        fitted[r * n + c] = w[r * n + c]! + change[k * rows + r]!;
      });
    }
  }
  const shift = new Float64Array(rows);
  if (aboutMean) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < n; c++) shift[r]! += (w[r * n + c]! - fitted[r * n + c]!) * moments.mean[c]!;
    }
  }
  return { w: fitted, shift };
}

/** (C_KK + damping)⁻¹·C_KS·W_Sᵀ, kept × rows; null where no damping makes it solvable. */
function leastSquares(
  w: FloatArray,
  rows: number,
  kept: readonly number[],
  gone: readonly number[],
  { n, matrix, damping }: Spread,
  kernels: Kernels,
): Float64Array | null {
  const k = kept.length;
  const block = (others: readonly number[]) => {
    const values = new Float64Array(k * others.length);
    let at = 0;
    for (const i of kept) for (const j of others) values[at++] = matrix[i * n + j]!;
    return values;
  };
  const goneWeights = new Float32Array(rows * gone.length);
  for (let r = 0, at = 0; r < rows; r++) for (const j of gone) goneWeights[at++] = w[r * n + j]!;
  const right = kernels.matmulTransposed(Float32Array.from(block(gone)), goneWeights, k, gone.length, rows);
  const left = block(kept);
  const factor = damped(left, k, damping, kernels);
  return factor && kernels.solveCholesky(factor, Float64Array.from(right), k, rows);
}

/** Cholesky factor of A + damping·I, with ten times the damping each time that it fails; null in the end. */
export function damped(a: Float64Array, n: number, damping: number, kernels: Kernels): Float64Array | null {
  let added = damping;
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++, added *= 10) {
    const matrix = a.slice();
    for (let i = 0; i < n; i++) matrix[i * n + i]! += added;
    const factor = choleskyOf(matrix, n, kernels);
    if (factor) return factor;
  }
  return null;
}

/** null where the matrix is not positive definite. */
export function choleskyOf(a: Float64Array, n: number, kernels: Kernels): Float64Array | null {
  try {
    return kernels.cholesky(a, n);
  } catch (error) {
    if (error instanceof NotPositiveDefiniteError) return null;
    throw error;
  }
}
