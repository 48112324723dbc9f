import type { Kernels } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";
import { admmMask } from "./admm.ts";
import { LayerHessian } from "./hessian.ts";
import { obsPruned } from "./obs.ts";
import { markZeros, masked } from "./pattern.ts";
import { proximalSolution } from "./proximal.ts";
import { refitOnSupport } from "./refit.ts";
import { checkRequest, type PruneRequest, type PruningPattern } from "./request.ts";

/**
 * Prunes one matrix for a small layer error tr(ΔW·G·ΔWᵀ). Pure: the same arguments give the same bytes.
 *
 * @param w rows × columns; it is not changed
 * @param moments null: data-free, as if G = I; without a Gram matrix its diagonal alone counts
 * @param positions k² of a convolution (columns are input channel major); N:M groups and blocks then run along the
 *   input channels
 * @throws PruneRequestError
 */
export function pruneMatrix(
  w: Float32Array,
  rows: number,
  columns: number,
  moments: InputMoments | null,
  request: PruneRequest,
  kernels: Kernels,
  positions = 1,
): Float32Array {
  return pruneWith(w, rows, new LayerHessian(moments, columns, kernels, positions), request);
}

/** {@link pruneMatrix} with a Hessian at hand, whose factors several requests share. */
export function pruneWith(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  request: PruneRequest,
): Float32Array {
  checkRequest(request);
  if (w.length !== rows * hessian.n) throw new RangeError(`${w.length} weights for ${rows} × ${hessian.n}`);
  if (w.every((value) => value === 0)) return w.slice();
  const walk = hessian.toWalk(w);
  const pattern = atLeastPresent(request.pattern, w);
  const shape = { rows, columns: hessian.n, segment: hessian.segment };
  // Only selection can make sense of weights that are not numbers.
  const solver = w.every(Number.isFinite) ? request.solver : "magnitude";
  const refit = request.refit ?? (solver === "admm" || solver === "proximal");
  const result = solved();
  if (!refit || !w.every(Number.isFinite)) return hessian.fromWalk(result);
  const pruned = Uint8Array.from(result, (value) => (value === 0 ? 1 : 0));
  return hessian.fromWalk(refitOnSupport(walk, pruned, rows, hessian, result));

  function solved(): Float32Array {
    switch (solver) {
      case "magnitude":
        return masked(walk, markZeros(walk, shape, pattern));
      case "wanda":
        return masked(walk, markZeros(wandaScores(walk, hessian), shape, pattern, "row"));
      case "obs":
        return obsPruned(walk, rows, hessian, pattern);
      case "admm":
        return masked(walk, admmMask(walk, rows, hessian, pattern));
      case "proximal":
        return proximal(walk, rows, hessian, pattern, request);
    }
  }
}

/** Zeros that W has already are among those asked for. */
function atLeastPresent(pattern: PruningPattern, w: Float32Array): PruningPattern {
  if (pattern.kind !== "unstructured" || pattern.zeros === null) return pattern;
  const present = w.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
  return { ...pattern, zeros: Math.min(w.length, Math.max(pattern.zeros, present)) };
}

/** |w| · ‖x_c‖₂ (Wanda, Sun et al. 2023); weights of dead inputs go first, the smallest of them before the others. */
function wandaScores(w: Float32Array, { energy, n }: LayerHessian): Float32Array {
  const norms = energy.map((value) => Math.sqrt(Math.max(value, 1e-8)));
  return w.map((value, i) => Math.abs(value) * norms[i % n]!);
}

/**
 * The regularised solution, then the pattern's zeros by what each entry of it carries, |x|·√H_cc; of the entries that
 * are zero in it, those go first that carried least in W.
 */
function proximal(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  pattern: PruningPattern,
  request: PruneRequest,
): Float32Array {
  const { n, segment, diagonal } = hessian;
  const { regularizer = "hoyer_square", strength } = request;
  const wanted = pattern.kind === "unstructured" ? pattern.zeros : zerosOf(pattern, w.length);
  const x = proximalSolution(
    w,
    rows,
    hessian,
    regularizer,
    strength !== undefined ? { strength } : { zeros: wanted! },
  );
  if (wanted === null) return x;
  const root = diagonal.map(Math.sqrt);
  const carries = (values: Float32Array) => values.map((value, i) => Math.abs(value) * root[i % n]!);
  const inX = carries(x);
  const inW = carries(w);
  const least = inX.reduce(
    (min, value) => (value > 0 && value < min ? value : min),
    Number.POSITIVE_INFINITY,
  );
  const most = inW.reduce((max, value) => Math.max(max, value), 0);
  const below = Number.isFinite(least) ? least / (2 * most) : 1;
  const scores = inX.map((value, i) => (value > 0 ? value : inW[i]! * below));
  return masked(w, markZeros(scores, { rows, columns: n, segment }, pattern));
}

/** Zeros that a pattern other than unstructured asks of a matrix, about. */
function zerosOf(pattern: PruningPattern, count: number): number {
  if (pattern.kind === "n:m") return Math.round(count * (1 - pattern.keep / pattern.of));
  return pattern.kind === "block" ? Math.round(count * pattern.ratio) : 0;
}
