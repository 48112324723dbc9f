import { type Kernels, NotPositiveDefiniteError } from "../../kernels/kernels.ts";
import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { InputMoments } from "../input-moments.ts";

/**
 * Share of G's mean diagonal that is added to it, so that inputs which the samples hardly moved still count, as SparseGPT
 * and GPTQ have it.
 *
 * Of the minimisers of tr(ΔW·G·ΔWᵀ) + δ‖ΔW‖² the layer error grows with δ up to that of the least ‖ΔW‖, so that damping
 * alone makes no exact minimiser worse than the data-free one. The same holds for any factors whose damped error is at
 * most that of a data-free minimum of ‖ΔW‖ (an SVD of the unfolded weights; Tucker-2 has no such closed form).
 */
export const DAMPING = 0.01;

/** The quadratic form that factorisations minimise: G + damping, or its diagonal, or the identity where nothing was seen. */
export interface Metric {
  readonly n: number;
  /** n × n; null where `diagonal` is all there is. */
  readonly gram: Float32Array | null;
  readonly diagonal: Float32Array;
}

export function metricOf(moments: InputMoments | null, n: number, damping = DAMPING): Metric {
  if (moments === null) return { n, gram: null, diagonal: new Float32Array(n).fill(1) };
  let sum = 0;
  for (const one of moments.diagonal) sum += one;
  if (!(sum > 0)) return metricOf(null, n);
  const added = (damping * sum) / n;
  const diagonal = moments.diagonal.map((one) => one + added);
  if (moments.gram === null) return { n, gram: null, diagonal };
  const gram = moments.gram.slice();
  for (let i = 0; i < n; i++) gram[i * n + i] = diagonal[i]!;
  return { n, gram, diagonal };
}

/** X·G of X rows × n. */
export function timesMetric(x: Float32Array, rows: number, metric: Metric, kernels: Kernels): Float32Array {
  const { n, gram, diagonal } = metric;
  return gram ? kernels.matmul(x, gram, rows, n, n) : x.map((one, i) => one * diagonal[i % n]!);
}

/** Σ aᵢ·bᵢ in double precision: tr(A·Bᵀ). */
export function dot(a: FloatArray, b: FloatArray): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

export function transposed<T extends Float32Array | Float64Array>(x: T, rows: number, columns: number): T {
  const to = x.slice() as T;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) to[c * rows + r] = x[r * columns + c]!;
  }
  return to;
}

/** The first `count` columns of X, rows × columns. */
export function firstColumns(x: Float64Array, rows: number, columns: number, count: number): Float32Array {
  const to = new Float32Array(rows * count);
  for (let r = 0; r < rows; r++) for (let c = 0; c < count; c++) to[r * count + c] = x[r * columns + c]!;
  return to;
}

/** (X + Xᵀ)/2 in double precision. */
export function symmetric(x: Float32Array, n: number): Float64Array {
  const to = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) to[i * n + j] = (x[i * n + j]! + x[j * n + i]!) / 2;
  return to;
}

/** In means of the diagonal: rounding may leave less of that than of the other entries. */
const MOST_JITTER = 1e6;

/**
 * B·A⁻¹ of a symmetric A, n × n, positive semidefinite up to rounding, and B of rows × n. Grows A's diagonal by a
 * millionth of its mean, and by ten times more as often as Cholesky fails: up to where A's entries no longer count.
 */
export function dividedBy(
  b: Float32Array,
  rows: number,
  a: Float64Array,
  n: number,
  kernels: Kernels,
): Float32Array {
  const factor = jitteredCholesky(a, n, kernels);
  const columns = transposed(new Float64Array(b), rows, n);
  return new Float32Array(transposed(kernels.solveCholesky(factor, columns, n, rows), n, rows));
}

export function jitteredCholesky(a: Float64Array, n: number, kernels: Kernels): Float64Array {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a[i * n + i]!;
  const unit = trace > 0 ? trace / n : 1;
  for (let jitter = 1e-6; ; jitter *= 10) {
    const grown = a.slice();
    for (let i = 0; i < n; i++) grown[i * n + i]! += jitter * unit;
    try {
      return kernels.cholesky(grown, n);
    } catch (error) {
      if (!(error instanceof NotPositiveDefiniteError) || jitter > MOST_JITTER) throw error;
    }
  }
}
