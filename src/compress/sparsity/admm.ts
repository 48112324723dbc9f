import type { LayerHessian } from "./hessian.ts";
import { markZeros } from "./pattern.ts";
import type { PruningPattern } from "./request.ts";

const FIRST_PENALTY = 0.1;
const ITERATIONS = 90;
/** Iterations between changes of the penalty. */
const PERIOD = 3;

/**
 * Support by ADMM on the L0 problem (ALPS, Meng et al. 2024, Algorithm 1): min ½·tr((X−W)·H·(X−W)ᵀ) with X = Z and Z in the
 * pattern, H scaled to a unit diagonal. The penalty ρ grows the faster the more the support still changes, and the
 * search ends when it no longer does.
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
  // Z with the scaled dual taken off, Z − V/ρ: all that the next X needs to know of both.
  let dual = new Float32Array(w.length);
  const z = scaled.map((value, i) => (marks[i] === 1 ? 0 : value));
  let penalty = FIRST_PENALTY;
  let before = marks;
  const kept = marks.reduce((count, mark) => count + 1 - mark, 0);
  for (let iteration = 1; iteration <= ITERATIONS; iteration++) {
    const x = kernels.matmul(
      z.map((value, i) => value - dual[i]!),
      vectors,
      rows,
      n,
      n,
    );
    for (let i = 0; i < x.length; i++) x[i] = (target[i]! + penalty * x[i]!) / (values[i % n]! + penalty);
    const back = kernels.matmulTransposed(x, vectors, rows, n, n);
    for (let i = 0; i < back.length; i++) back[i]! += dual[i]!;
    marks = markZeros(back, shape, pattern);
    for (let i = 0; i < back.length; i++) {
      z[i] = marks[i] === 1 ? 0 : back[i]!;
      dual[i] = back[i]! - z[i]!;
    }
    if (iteration % PERIOD !== 0) continue;
    const changed = marks.reduce((count, mark, i) => count + (mark !== before[i] ? 1 : 0), 0);
    if (changed === 0) break;
    before = marks;
    const growth = changed >= 0.1 * kept ? 1.3 : changed >= 0.005 * kept ? 1.2 : 1.1;
    penalty *= growth;
    // The scaled dual is V/ρ.
    dual = dual.map((value) => value / growth);
  }
  return marks;
}
