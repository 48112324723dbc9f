import { halfRounding } from "../../onnx/constant/half.ts";
import { type Levels, nearestLevel } from "./levels.ts";

/** Shares of the largest weight that the outermost level is tried at. */
const CLIPPING = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.32];
const FINER = [0.93, 0.965, 1.035, 1.07];
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
  const asStored = half ? halfRounding() : Math.fround;
  const near = nearestIn(levels);
  for (let i = 0; i < count; i++) {
    const from = i * group;
    const row = present(w.subarray(from, from + group), weights.subarray(from % columns), levels);
    scales[i] = bestScale(row, levels, near, asStored);
  }
  return scales;
}

/** Weights that count in the choice of a scale. */
interface Row {
  readonly w: Float32Array;
  readonly weights: Float32Array;
}

/** Without zeros, where zero is a level: they are exact at every scale. */
function present(w: Float32Array, weights: Float32Array, { values }: Levels): Row {
  if (!values.includes(0)) return { w, weights };
  let count = 0;
  for (let c = 0; c < w.length; c++) if (w[c] !== 0) count++;
  const [some, theirs] = [new Float32Array(count), new Float32Array(count)];
  let at = 0;
  for (let c = 0; c < w.length; c++) {
    if (w[c] === 0) continue;
    some[at] = w[c]!;
    theirs[at++] = weights[c]!;
  }
  return { w: some, weights: theirs };
}

/** The level nearest to x: evenly spaced ones by arithmetic, others by a table of how many lie below each of fine steps. */
function nearestIn(levels: Levels): (x: number) => number {
  const { values, uniform } = levels;
  const most = values.length - 1;
  const first = values[0]!;
  if (uniform) return (x) => Math.min(values[most]!, Math.max(first, Math.ceil(x - 0.5)));
  const span = values[most]! - first;
  if (!(span > 0)) return () => first;
  // Between two neighbouring steps lies one boundary at most, as good as always: it is looked at, and the next ones.
  const steps = 8 * values.length;
  const below = Uint8Array.from({ length: steps + 1 }, (_, i) =>
    nearestLevel(levels, first + (i / steps) * span),
  );
  const boundaries = Float64Array.from({ length: most }, (_, i) => (values[i]! + values[i + 1]!) / 2);
  return (x) => {
    const place = ((x - first) / span) * steps;
    let code = below[place <= 0 ? 0 : place >= steps ? steps : Math.floor(place)]!;
    while (code < most && x > boundaries[code]!) code++;
    return values[code]!;
  };
}

function bestScale(
  row: Row,
  levels: Levels,
  near: (x: number) => number,
  asStored: (scale: number) => number,
): number {
  let [least, most] = [0, 0];
  for (const value of row.w) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least === 0 && most === 0) return 0;
  const { uniform } = levels;
  const [low, high] = [levels.values[0]!, levels.values.at(-1)!];
  // One sign of the scale suffices where the levels are symmetric.
  const ranges = [Math.max(least / low, high > 0 ? most / high : 0)];
  if (low !== -high) ranges.push(-Math.max(-most / low, high > 0 ? -least / high : 0));
  let best = 0;
  let error = Number.POSITIVE_INFINITY;
  const tryScale = (scale: number) => {
    const stored = asStored(scale);
    if (stored === 0 || !Number.isFinite(stored)) return false;
    const total = uniform ? evenErrorAt(row, low, high, stored, error) : errorAt(row, near, stored);
    if (!(total < error)) return false;
    [best, error] = [stored, total];
    return true;
  };
  for (const range of ranges) for (const share of CLIPPING) tryScale(range * share);
  // Half a step of the first shares to either side of the best.
  const coarse = best;
  for (const step of FINER) tryScale(coarse * step);
  for (let i = 0; i < REFINEMENTS; i++) {
    if (!tryScale(leastSquares(row, near, best))) break;
  }
  return best;
}

/** Weights after which a scale that has lost already is given up. */
const STRETCH = 128;

/** Σ weight·(w − ŵ)² at a scale of evenly spaced levels; more than `limit` where it is more. */
function evenErrorAt({ w, weights }: Row, low: number, high: number, scale: number, limit: number): number {
  const inverse = 1 / scale;
  let sum = 0;
  for (let from = 0; from < w.length && sum <= limit; from += STRETCH) {
    const to = Math.min(w.length, from + STRETCH);
    for (let c = from; c < to; c++) {
      const level = Math.max(low, Math.min(high, Math.ceil(w[c]! * inverse - 0.5)));
      const rest = w[c]! - scale * level;
      sum += weights[c]! * rest * rest;
    }
  }
  return sum;
}

/** Σ weight·(w − ŵ)² at a scale. */
function errorAt({ w, weights }: Row, near: (x: number) => number, scale: number): number {
  const inverse = 1 / scale;
  let sum = 0;
  for (let c = 0; c < w.length; c++) {
    const rest = w[c]! - scale * near(w[c]! * inverse);
    sum += weights[c]! * rest * rest;
  }
  return sum;
}

function leastSquares({ w, weights }: Row, near: (x: number) => number, scale: number): number {
  const inverse = 1 / scale;
  let [product, square] = [0, 0];
  for (let c = 0; c < w.length; c++) {
    const level = near(w[c]! * inverse);
    product += weights[c]! * level * w[c]!;
    square += weights[c]! * level * level;
  }
  return square > 0 ? product / square : 0;
}
