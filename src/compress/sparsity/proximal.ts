import type { FistaPoint, Kernels, ProximalProblem, RegularizerName } from "../../kernels/kernels.ts";
import type { LayerHessian } from "./hessian.ts";
import { markZeros, masked } from "./pattern.ts";
import type { PruneRequest, PruningPattern } from "./request.ts";

/** Iterations at one strength, and those at each strength of a rising path. */
const ITERATIONS = 100;
const PATH_ITERATIONS = 6;
const PATH_START = 1e-4;
const PATH_GROWTH = 1.8;
const PATH_STEPS = 60;
/** Relative change of the objective at which an iteration has converged. */
const TOLERANCE = 1e-6;

/**
 * The regularised solution, then the pattern's zeros by what each entry of it carries, |x|·√H_cc; of the entries that
 * are zero in it, those go first that carried least in W.
 */
export function proximalPruned(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  request: PruneRequest,
): Float32Array {
  const { n, segment, diagonal } = hessian;
  const { pattern, regularizer = "hoyer_square", strength } = request;
  const wanted = pattern.kind === "unstructured" ? pattern.zeros : wantedZeros(pattern, w.length);
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
function wantedZeros(pattern: PruningPattern, count: number): number {
  if (pattern.kind === "n:m") return Math.round(count * (1 - pattern.keep / pattern.of));
  return pattern.kind === "block" ? Math.round(count * pattern.ratio) : 0;
}

/**
 * Minimises ½·tr((X−W)·H·(X−W)ᵀ) + λ·R(X) by proximal gradient with momentum (FISTA, Beck & Teboulle 2009) that starts anew
 * when the objective rises (O'Donoghue & Candès 2015), which regularisers that are not convex need.
 *
 * W is taken at unit root mean square, so that λ does not depend on its scale. Without λ, λ rises step by step from a
 * small one, each time from the solution before, until `zeros` entries are zero.
 *
 * @param w rows × n in walk order, not all zero; it is not changed
 */
function proximalSolution(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  regularizer: RegularizerName,
  until: { readonly strength: number } | { readonly zeros: number },
): Float32Array {
  const rms = Math.sqrt(w.reduce((sum, value) => sum + value * value, 0) / w.length);
  const unit = w.map((value) => value / rms);
  const problem: ProximalProblem = {
    m: rows,
    n: hessian.n,
    segment: hessian.segment,
    w: unit,
    h: hessian.matrix ?? hessian.diagonal,
    // Power iteration comes up to the norm from below.
    norm: 1.02 * norm(hessian),
    regularizer,
  };
  // W itself, which no step has moved.
  let point = hessian.kernels.fistaStep(problem, unit, unit, 0, 0);
  if ("strength" in until) {
    point = descend(problem, point, until.strength, ITERATIONS, hessian.kernels);
  } else {
    let strength = PATH_START;
    for (let step = 0; step < PATH_STEPS && zerosOf(point.x) < until.zeros; step++) {
      point = descend(problem, point, strength, PATH_ITERATIONS, hessian.kernels);
      strength *= PATH_GROWTH;
    }
  }
  return point.x.map((value) => value * rms);
}

function descend(
  problem: ProximalProblem,
  start: FistaPoint,
  strength: number,
  iterations: number,
  kernels: Kernels,
): FistaPoint {
  const objective = ({ error, penalty }: FistaPoint) => error / 2 + strength * penalty;
  let point = start;
  let before = start;
  let t = 1;
  for (let i = 0; i < iterations; i++) {
    const nextT = (1 + Math.sqrt(1 + 4 * t * t)) / 2;
    const momentum = (t - 1) / nextT;
    const next = kernels.fistaStep(problem, point.forward, before.forward, momentum, strength / problem.norm);
    const change = objective(next) - objective(point);
    if (change > 0 && momentum > 0) {
      t = 1;
      before = point;
      continue;
    }
    const done = Math.abs(change) <= TOLERANCE * Math.abs(objective(point));
    before = point;
    point = next;
    t = nextT;
    if (done) break;
  }
  return point;
}

/** Largest eigenvalue of H by power iteration, from below. */
function norm(hessian: LayerHessian): number {
  if (hessian.matrix === null) return hessian.diagonal.reduce((most, value) => Math.max(most, value), 0);
  let x: Float32Array = hessian.diagonal;
  let eigenvalue = 0;
  for (let i = 0; i < 30; i++) {
    const length = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
    x = hessian.times(
      x.map((value) => value / length),
      1,
    );
    eigenvalue = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
  }
  return eigenvalue;
}

function zerosOf(x: Float32Array): number {
  let count = 0;
  for (let i = 0; i < x.length; i++) if (x[i] === 0) count += 1;
  return count;
}
