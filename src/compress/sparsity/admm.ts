import { stepsByGradients, stepsBySpectrum } from "./admm-steps.ts";
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
  const { n } = hessian;
  const shape = { rows, columns: n, segment: hessian.segment };
  const root = hessian.diagonal.map(Math.sqrt);
  const scaled = w.map((value, i) => value * root[i % n]!);
  let marks = markZeros(scaled, shape, pattern);
  if (hessian.matrix === null) return marks;
  const next = (hessian.hasSpectrum ? stepsBySpectrum : stepsByGradients)(scaled, rows, hessian);
  // The dual starts at zero.
  let v = masked(scaled, marks);
  let penalty = FIRST_PENALTY;
  for (let iteration = 1; iteration <= ITERATIONS; iteration++) {
    v = next(v, marks, { penalty, decay: 1 / GROWTH, relaxation: RELAXATION });
    const before = marks;
    marks = markZeros(v, shape, pattern);
    penalty *= GROWTH;
    if (iteration >= SETTLES_AFTER && marks.every((mark, i) => mark === before[i])) break;
  }
  return marks;
}
