import { halved } from "../storage/coded.ts";
import { type Levels, nearestLevel } from "./levels.ts";

/** Shares of the largest weight that the outermost level is tried at. */
const CLIPPING = [1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3];
const REFINEMENTS = 2;

/**
 * The scale of every row and group that minimises Σ_c weight_c·(w_c − ŵ_c)² of nearest levels, searched over clipping
 * factors and then refined by least squares for the codes that it gives.
 *
 * @param w rows × columns, already divided by scales of the columns if there are any
 * @param weights of the columns
 * @param half round the scales to float16
 */
export function fitScales(
  w: Float32Array,
  columns: number,
  group: number,
  levels: Levels,
  weights: Float32Array,
  half: boolean,
): Float32Array {
  const count = w.length === 0 ? 0 : w.length / group;
  const scales = new Float32Array(count);
  const asStored = half ? (scale: number) => halved(Float32Array.of(scale))[0]! : Math.fround;
  for (let i = 0; i < count; i++) {
    const from = i * group;
    scales[i] = bestScale(w.subarray(from, from + group), weights.subarray(from % columns), levels, asStored);
  }
  return scales;
}

function bestScale(
  w: Float32Array,
  weights: Float32Array,
  levels: Levels,
  asStored: (scale: number) => number,
): number {
  let [least, most] = [0, 0];
  for (const value of w) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least === 0 && most === 0) return 0;
  const [low, high] = [levels.values[0]!, levels.values.at(-1)!];
  // One sign of the scale suffices where the levels are symmetric.
  const ranges = [Math.max(least / low, high > 0 ? most / high : 0)];
  if (low !== -high) ranges.push(-Math.max(-most / low, high > 0 ? -least / high : 0));
  let best = 0;
  let error = Number.POSITIVE_INFINITY;
  const tryScale = (scale: number) => {
    const stored = asStored(scale);
    if (stored === 0 || !Number.isFinite(stored)) return false;
    const total = errorAt(w, weights, levels, stored);
    if (!(total < error)) return false;
    [best, error] = [stored, total];
    return true;
  };
  for (const range of ranges) for (const share of CLIPPING) tryScale(range * share);
  for (let i = 0; i < REFINEMENTS; i++) {
    if (!tryScale(leastSquares(w, weights, levels, best))) break;
  }
  return best;
}

function errorAt(w: Float32Array, weights: Float32Array, levels: Levels, scale: number): number {
  let sum = 0;
  for (let c = 0; c < w.length; c++) {
    const rest = w[c]! - scale * levels.values[nearestLevel(levels, w[c]! / scale)]!;
    sum += weights[c]! * rest * rest;
  }
  return sum;
}

function leastSquares(w: Float32Array, weights: Float32Array, levels: Levels, scale: number): number {
  let [product, square] = [0, 0];
  for (let c = 0; c < w.length; c++) {
    const level = levels.values[nearestLevel(levels, w[c]! / scale)]!;
    product += weights[c]! * level * w[c]!;
    square += weights[c]! * level * level;
  }
  return square > 0 ? product / square : 0;
}
