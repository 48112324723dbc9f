import type { LayerHessian } from "./hessian.ts";
import { markZeros, masked, type PatternShape } from "./pattern.ts";
import { REGULARIZERS, type Regularizer } from "./regularizers.ts";
import type { PruneRequest, PruningPattern, RegularizerName } from "./request.ts";

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
  const problem: Problem = {
    w: unit,
    target: hessian.times(unit, rows),
    shape: { rows, columns: hessian.n, segment: hessian.segment },
    hessian,
    // Power iteration comes up to the norm from below.
    norm: 1.02 * norm(hessian),
    regularizer: REGULARIZERS[regularizer],
  };
  let x: Float32Array = unit;
  if ("strength" in until) {
    x = descend(problem, x, until.strength, ITERATIONS);
  } else {
    let strength = PATH_START;
    for (let step = 0; step < PATH_STEPS && zerosOf(x) < until.zeros; step++) {
      x = descend(problem, x, strength, PATH_ITERATIONS);
      strength *= PATH_GROWTH;
    }
  }
  return x.map((value) => value * rms);
}

interface Problem {
  readonly w: Float32Array;
  /** W·H. */
  readonly target: Float32Array;
  readonly shape: PatternShape;
  readonly hessian: LayerHessian;
  readonly norm: number;
  readonly regularizer: Regularizer;
}

function descend(problem: Problem, start: Float32Array, strength: number, iterations: number): Float32Array {
  const { w, target, shape, hessian, norm, regularizer } = problem;
  const objective = (x: Float32Array, xh: Float32Array) => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += (x[i]! - w[i]!) * (xh[i]! - target[i]!);
    return sum / 2 + strength * regularizer.value(x, shape);
  };
  let x: Float32Array = start;
  let xh = hessian.times(x, shape.rows);
  let cost = objective(x, xh);
  let before = { x, xh };
  let t = 1;
  for (let i = 0; i < iterations; i++) {
    const nextT = (1 + Math.sqrt(1 + 4 * t * t)) / 2;
    const momentum = (t - 1) / nextT;
    const next = new Float32Array(x.length);
    for (let j = 0; j < x.length; j++) {
      const y = x[j]! + momentum * (x[j]! - before.x[j]!);
      const yh = xh[j]! + momentum * (xh[j]! - before.xh[j]!);
      next[j] = y - (yh - target[j]!) / norm;
    }
    regularizer.prox(next, strength / norm, shape);
    const nextH = hessian.times(next, shape.rows);
    const nextCost = objective(next, nextH);
    if (nextCost > cost && momentum > 0) {
      t = 1;
      before = { x, xh };
      continue;
    }
    const done = Math.abs(cost - nextCost) <= TOLERANCE * Math.abs(cost);
    before = { x, xh };
    x = next;
    xh = nextH;
    cost = nextCost;
    t = nextT;
    if (done) break;
  }
  return x;
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
  return x.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
}
