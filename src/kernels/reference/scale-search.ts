/** Shares of the largest weight that the outermost level is tried at. */
const CLIPPING = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.32];
const FINER = [0.93, 0.965, 1.035, 1.07];
const REFINEMENTS = 2;

/** What the weights of a group may become, in units of their scale. */
export interface ScaledLevels {
  /** The outermost ones: `low` is below 0, `high` is not. */
  readonly low: number;
  readonly high: number;
  nearest(x: number): number;
}

/**
 * The scale of one group of weights: see `Kernels.fitScales`.
 *
 * @param weights what each of them counts; only as many as there are of w
 * @param asStored rounds a scale to the numbers in which it is kept
 */
export function searchScale(
  w: Float32Array,
  weights: Float32Array,
  { low, high, nearest }: ScaledLevels,
  asStored: (scale: number) => number,
): number {
  const least = w.reduce((least, value) => Math.min(least, value), 0);
  const most = w.reduce((most, value) => Math.max(most, value), 0);
  if (least === 0 && most === 0) return 0;
  // One sign of the scale suffices where the levels are symmetric.
  const ranges = [Math.max(least / low, high > 0 ? most / high : 0)];
  if (low !== -high) ranges.push(-Math.max(-most / low, high > 0 ? -least / high : 0));
  let best = 0;
  let error = Number.POSITIVE_INFINITY;
  const tryScale = (scale: number) => {
    const stored = asStored(scale);
    if (stored === 0 || !Number.isFinite(stored)) return false;
    const total = errorAt(stored);
    if (!(total < error)) return false;
    [best, error] = [stored, total];
    return true;
  };
  for (const range of ranges) for (const share of CLIPPING) tryScale(range * share);
  // Half a step of the first shares to either side of the best.
  const coarse = best;
  for (const step of FINER) tryScale(coarse * step);
  for (let i = 0; i < REFINEMENTS; i++) {
    if (!tryScale(leastSquares(best))) break;
  }
  return best;

  /** Σ weight·(w − ŵ)². */
  function errorAt(scale: number): number {
    const inverse = 1 / scale;
    let sum = 0;
    for (let c = 0; c < w.length; c++) {
      const rest = w[c]! - scale * nearest(w[c]! * inverse);
      sum += weights[c]! * rest * rest;
    }
    return sum;
  }

  /** The scale that is best for the levels which are nearest at this one. */
  function leastSquares(scale: number): number {
    const inverse = 1 / scale;
    let [product, square] = [0, 0];
    for (let c = 0; c < w.length; c++) {
      const level = nearest(w[c]! * inverse);
      product += weights[c]! * level * w[c]!;
      square += weights[c]! * level * level;
    }
    return square > 0 ? product / square : 0;
  }
}
