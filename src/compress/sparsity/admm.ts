import type { LayerHessian } from "./hessian.ts";
import { markZeros, masked } from "./pattern.ts";
import type { PruningPattern } from "./request.ts";

/** Penalty ρ at the start, for H of unit diagonal, and its growth from one iteration to the next. */
const FIRST_PENALTY = 0.05;
const GROWTH = 1.12;
/** Over-relaxation (Boyd et al. 2011, §3.4.3): as good a support in about half as many iterations. */
const RELAXATION = 1.6;
const ITERATIONS = 60;
/** A support that stays the same has settled, but not while ρ is still too small to move it. */
const SETTLES_AFTER = 10;

/**
 * Support by ADMM on the L0 problem (ALPS, Meng et al. 2024, Algorithm 1): min ½·tr((X−W)·H·(X−W)ᵀ) with X = Z and Z in the
 * pattern, H scaled to a unit diagonal. The penalty ρ grows until the support no longer changes.
 *
 * @param w rows × n in walk order; it is not changed
 * @returns 1 where an entry is to be zero
 */
export function admmMask(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  pattern: PruningPattern,
): Uint8Array {
  const { n, kernels } = hessian;
  const shape = { rows, columns: n, segment: hessian.segment };
  const root = hessian.diagonal.map(Math.sqrt);
  const scaled = w.map((value, i) => value * root[i % n]!);
  let marks = markZeros(scaled, shape, pattern);
  if (hessian.matrix === null) return marks;
  const { values, vectors } = hessian.spectrum();
  // W·H in the basis of the eigenvectors, in which every step is diagonal.
  const target = kernels.matmul(scaled, vectors, rows, n, n);
  for (let i = 0; i < target.length; i++) target[i]! *= values[i % n]!;
  // The scaled dual, V/ρ.
  const dual = new Float32Array(w.length);
  const z = masked(scaled, marks);
  let penalty = FIRST_PENALTY;
  for (let iteration = 1; iteration <= ITERATIONS; iteration++) {
    const difference = z.map((value, i) => value - dual[i]!);
    const x = kernels.matmul(difference, vectors, rows, n, n);
    for (let i = 0; i < x.length; i++) x[i] = (target[i]! + penalty * x[i]!) / (values[i % n]! + penalty);
    const next = kernels.matmulTransposed(x, vectors, rows, n, n);
    for (let i = 0; i < next.length; i++) {
      next[i] = RELAXATION * next[i]! + (1 - RELAXATION) * z[i]! + dual[i]!;
    }
    const before = marks;
    marks = markZeros(next, shape, pattern);
    for (let i = 0; i < next.length; i++) {
      z[i] = marks[i] === 1 ? 0 : next[i]!;
      dual[i] = (next[i]! - z[i]!) / GROWTH;
    }
    penalty *= GROWTH;
    if (iteration >= SETTLES_AFTER && marks.every((mark, i) => mark === before[i])) break;
  }
  return marks;
}
