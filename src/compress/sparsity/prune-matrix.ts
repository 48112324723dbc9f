import type { Kernels } from "../../kernels/kernels.ts";
import { withoutSmallest } from "../../kernels/reference/select.ts";
import { type InputMoments, quadratic } from "../input-moments.ts";
import { countNonzero, energy } from "../weight.ts";
import { admmMask } from "./admm.ts";
import { choosesExactly, exactObsMask } from "./exact-obs.ts";
import { LayerHessian } from "./hessian.ts";
import { obsPruned } from "./obs.ts";
import { markZeros, masked } from "./pattern.ts";
import { proximalPruned } from "./proximal.ts";
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
  const nonzero = countNonzero(w);
  if (nonzero === 0) return w.slice();
  const pattern = atLeastPresent(request.pattern, w.length - nonzero, w.length);
  const walk = hessian.toWalk(w);
  const refit = request.refit ?? (request.solver === "admm" || request.solver === "proximal");
  const selects = request.solver === "magnitude" && !refit;
  // Only selection can make sense of weights that are not numbers.
  if (!selects && !Number.isFinite(energy(w))) {
    return hessian.fromWalk(solve(walk, rows, hessian, { solver: "magnitude", pattern }));
  }
  const solutions = [solve(walk, rows, hessian, { ...request, pattern })];
  if (!refit) return hessian.fromWalk(solutions[0]!);
  // On layers of real models the greedy's error is up to 7% smaller at half zeros and up to 28% larger in groups.
  if (request.solver === "admm" && choosesExactly(rows, hessian, pattern)) {
    solutions.push(masked(walk, exactObsMask(walk, rows, hessian, pattern)));
  }
  return hessian.fromWalk(leastError(walk, rows, hessian, solutions.map(refitted)));

  function refitted(solution: Float32Array): Float32Array {
    const pruned = Uint8Array.from(solution, (value) => (value === 0 ? 1 : 0));
    return refitOnSupport(walk, pruned, rows, hessian, solution);
  }
}

/** The matrix X with the smallest tr((X−W)·H·(X−W)ᵀ), of equals the first. */
function leastError(
  w: Float32Array,
  rows: number,
  { n, matrix, diagonal }: LayerHessian,
  candidates: readonly Float32Array[],
): Float32Array {
  const error = (x: Float32Array) => {
    const difference = Float64Array.from(x, (value, i) => value - w[i]!);
    return quadratic(difference, rows, n, { gram: matrix, diagonal });
  };
  return candidates.reduce((best, one) => (error(one) < error(best) ? one : best));
}

/** W, rows × n in walk order, as the solver leaves it before any refit. */
function solve(w: Float32Array, rows: number, hessian: LayerHessian, request: PruneRequest): Float32Array {
  const { solver, pattern } = request;
  const shape = { rows, columns: hessian.n, segment: hessian.segment };
  switch (solver) {
    case "magnitude":
      if (pattern.kind === "unstructured") return withoutSmallest(w, pattern.zeros ?? 0);
      return masked(w, markZeros(w, shape, pattern));
    case "wanda":
      return masked(w, markZeros(wandaScores(w, hessian), shape, pattern, "row"));
    case "obs":
      // What a refit follows needs no more than a mask, and a small matrix can afford the better one.
      return request.refit && choosesExactly(rows, hessian, pattern)
        ? masked(w, exactObsMask(w, rows, hessian, pattern))
        : obsPruned(w, rows, hessian, pattern);
    case "admm":
      return masked(w, admmMask(w, rows, hessian, pattern));
    case "proximal":
      return proximalPruned(w, rows, hessian, request);
  }
}

/** Zeros that W has already are among those asked for. */
function atLeastPresent(pattern: PruningPattern, present: number, all: number): PruningPattern {
  if (pattern.kind !== "unstructured" || pattern.zeros === null) return pattern;
  return { ...pattern, zeros: Math.min(all, Math.max(pattern.zeros, present)) };
}

/** |w| · ‖x_c‖₂ (Wanda, Sun et al. 2023); weights of dead inputs go first, the smallest of them before the others. */
function wandaScores(w: Float32Array, { energy, n }: LayerHessian): Float32Array {
  const norms = energy.map((value) => Math.sqrt(Math.max(value, 1e-8)));
  return w.map((value, i) => Math.abs(value) * norms[i % n]!);
}
