import { conjugateGradients } from "./conjugate-gradients.ts";
import { type LayerHessian, moreDamped } from "./hessian.ts";

/**
 * Iterations of conjugate gradients at most, by which the error is within a percent of the least on layers of
 * lenet-300-100, and the residual at which a row is done.
 */
const ITERATIONS = 30;
const TOLERANCE = 1e-6;

/**
 * Least squares on a support: Ŵ that minimises tr((Ŵ−W)·H·(Ŵ−W)ᵀ) with zeros where `pruned` is 1.
 *
 * Row by row, with S its support and Z its zeros, H_SS·δ = H_SZ·w_Z and ŵ_S = w_S + δ. Rows of small support are solved
 * exactly by Cholesky; the others together by conjugate gradients preconditioned with the diagonal (ALPS, §3.2), whose
 * every step is one product with H for all rows.
 *
 * @param w rows × n in walk order; it is not changed
 * @param start values on the support to begin with, as a solver left them; default: those of W
 */
export function refitOnSupport(
  w: Float32Array,
  pruned: Uint8Array,
  rows: number,
  hessian: LayerHessian,
  start: Float32Array = w,
): Float32Array {
  const { n } = hessian;
  const refitted = w.map((value, i) => (pruned[i] === 1 ? 0 : value));
  if (hessian.matrix === null) return refitted;
  const pull = hessian.times(
    w.map((value, i) => (pruned[i] === 1 ? value : 0)),
    rows,
  );
  const large: number[] = [];
  for (let r = 0; r < rows; r++) {
    const support = supportOf(pruned, r, n);
    if (support.length === n || support.length === 0) continue;
    if (!isSmall(support.length, n)) large.push(r);
    else solveRow(refitted, pull, r, support, hessian, hessian.matrix);
  }
  if (large.length > 0) solveTogether(refitted, pull, pruned, large, hessian, start);
  return refitted;
}

/** Whether a row's own Cholesky factor, s³/3, is worth its exactness against 2n² for each step of all rows. */
function isSmall(support: number, n: number): boolean {
  return support <= 128 || support ** 3 <= 20 * n * n;
}

function supportOf(pruned: Uint8Array, row: number, n: number): number[] {
  const support: number[] = [];
  for (let c = 0; c < n; c++) if (pruned[row * n + c] !== 1) support.push(c);
  return support;
}

function solveRow(
  refitted: Float32Array,
  pull: Float32Array,
  row: number,
  support: readonly number[],
  { n, kernels }: LayerHessian,
  h: Float32Array,
): void {
  const s = support.length;
  const a = new Float64Array(s * s);
  const b = new Float64Array(s);
  for (let i = 0; i < s; i++) {
    const from = support[i]! * n;
    for (let j = 0; j < s; j++) a[i * s + j] = h[from + support[j]!]!;
    b[i] = pull[row * n + support[i]!]!;
  }
  const delta = kernels.solveCholesky(
    moreDamped(a, s, (damped) => kernels.cholesky(damped, s)),
    b,
    s,
    1,
  );
  for (let i = 0; i < s; i++) refitted[row * n + support[i]!]! += delta[i]!;
}

/** Preconditioned conjugate gradients over rows that share H and differ in their support. */
function solveTogether(
  refitted: Float32Array,
  pull: Float32Array,
  pruned: Uint8Array,
  which: readonly number[],
  hessian: LayerHessian,
  start: Float32Array,
): void {
  const { n, diagonal } = hessian;
  const m = which.length;
  const take = (from: Float32Array) => {
    const to = new Float32Array(m * n);
    which.forEach((r, i) => {
      to.set(from.subarray(r * n, (r + 1) * n), i * n);
    });
    return to;
  };
  const w = take(refitted);
  const on = new Uint8Array(m * n);
  which.forEach((r, i) => {
    for (let c = 0; c < n; c++) on[i * n + c] = pruned[r * n + c] === 1 ? 0 : 1;
  });
  const delta = take(start);
  for (let i = 0; i < m * n; i++) delta[i] = on[i] ? delta[i]! - w[i]! : 0;
  const residual = take(pull);
  const applied = hessian.times(delta, m);
  const goal = new Float64Array(m);
  for (let i = 0; i < m * n; i++) {
    const row = Math.floor(i / n);
    if (on[i]) goal[row]! += residual[i]! ** 2 / diagonal[i % n]!;
    residual[i] = on[i] ? residual[i]! - applied[i]! : 0;
  }
  const times = (x: Float32Array) => {
    const image = hessian.times(x, m);
    for (let i = 0; i < m * n; i++) if (!on[i]) image[i] = 0;
    return image;
  };
  const enough = goal.map((value) => TOLERANCE ** 2 * value);
  conjugateGradients(delta, residual, { times, diagonal }, enough, ITERATIONS);
  which.forEach((r, i) => {
    for (let c = 0; c < n; c++) refitted[r * n + c]! += delta[i * n + c]!;
  });
}
