/** Shares of the largest weight that the outermost level is tried at, and steps to either side of the best of them. */
const CLIPPING = memory.data<f64>([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.32]);
const FINER = memory.data<f64>([0.93, 0.965, 1.035, 1.07]);
const REFINEMENTS = 2;
/** Weights after which a scale that has lost already is given up. */
const STRETCH: usize = 128;

/** Bytes of `work` that {@link fitScales} needs. */
export function scalesWork(group: usize): usize {
  return 16 * ((group + 3) & ~3) + 16;
}

/**
 * The scale of each `group` of weights: see `Kernels.fitScales`.
 * @param weights of `columns` columns, in which groups lie one after the other
 * @param scales f32, one a group, that are written
 */
export function fitScales(
  w: usize,
  groups: usize,
  group: usize,
  weights: usize,
  columns: usize,
  low: f64,
  high: f64,
  half: bool,
  scales: usize,
  work: usize,
): void {
  const best = work;
  const row = work + 16;
  const theirs = row + 8 * ((group + 3) & ~3);
  for (let i: usize = 0; i < groups; i++) {
    const from = w + i * group * 4;
    const count = present(from, group, weights + ((i * group) % columns) * 4, row, theirs);
    store<f32>(scales + i * 4, <f32>bestScale(row, theirs, count, low, high, half, best));
  }
}

/** Copies what is not zero, as doubles: zeros are exact at every scale. Up to a whole vector, zeros follow. */
function present(w: usize, group: usize, weights: usize, row: usize, theirs: usize): usize {
  let count: usize = 0;
  for (let c: usize = 0; c < group; c++) {
    const value = load<f32>(w + c * 4);
    store<f64>(row + count * 8, <f64>value);
    store<f64>(theirs + count * 8, <f64>load<f32>(weights + c * 4));
    count += usize(value !== 0);
  }
  for (let i = count; (i & 3) !== 0; i++) {
    store<f64>(row + i * 8, 0);
    store<f64>(theirs + i * 8, 0);
  }
  return count;
}

/** @param best the best scale so far and its error are kept here */
function bestScale(
  row: usize,
  weights: usize,
  count: usize,
  low: f64,
  high: f64,
  half: bool,
  best: usize,
): f64 {
  let least: f64 = 0;
  let most: f64 = 0;
  for (let i: usize = 0; i < count; i++) {
    const value = load<f64>(row + i * 8);
    least = min(least, value);
    most = max(most, value);
  }
  store<f64>(best, 0);
  store<f64>(best, Infinity, 8);
  if (count === 0) return 0;
  // One sign of the scale suffices where the levels are symmetric.
  const range = max(least / low, high > 0 ? most / high : 0);
  const other = low === -high ? 0 : -max(-most / low, high > 0 ? -least / high : 0);
  for (let i: usize = 0; i < 8; i++)
    tryScale(row, weights, count, low, high, half, range * load<f64>(CLIPPING + i * 8), best);
  if (other !== 0) {
    for (let i: usize = 0; i < 8; i++)
      tryScale(row, weights, count, low, high, half, other * load<f64>(CLIPPING + i * 8), best);
  }
  const coarse = load<f64>(best);
  for (let i: usize = 0; i < 4; i++)
    tryScale(row, weights, count, low, high, half, coarse * load<f64>(FINER + i * 8), best);
  for (let i = 0; i < REFINEMENTS; i++) {
    const refined = leastSquares(row, weights, count, low, high, load<f64>(best));
    if (!tryScale(row, weights, count, low, high, half, refined, best)) break;
  }
  return load<f64>(best);
}

/** Whether the scale, as it is stored, is better than the best so far, whose place it takes then. */
function tryScale(
  row: usize,
  weights: usize,
  count: usize,
  low: f64,
  high: f64,
  half: bool,
  scale: f64,
  best: usize,
): bool {
  const stored = half ? toHalf(scale) : <f64>(<f32>scale);
  if (stored === 0 || !(abs(stored) < Infinity)) return false;
  const error = errorAt(row, weights, count, low, high, stored, load<f64>(best, 8));
  if (!(error < load<f64>(best, 8))) return false;
  store<f64>(best, stored);
  store<f64>(best, error, 8);
  return true;
}

/** Σ weight·(w − ŵ)² at a scale; more than `limit` where it is more. */
function errorAt(row: usize, weights: usize, count: usize, low: f64, high: f64, scale: f64, limit: f64): f64 {
  const step = f64x2.splat(scale);
  const inverse = f64x2.splat(1 / scale);
  const lows = f64x2.splat(low);
  const highs = f64x2.splat(high);
  let even = f64x2.splat(0);
  let odd = even;
  let sum: f64 = 0;
  for (let from: usize = 0; from < count && sum <= limit; from += STRETCH) {
    const end = row + min(count, from + STRETCH) * 8;
    let theirs = weights + from * 8;
    for (let at = row + from * 8; at < end; at += 32) {
      const first = v128.load(at);
      const second = v128.load(at, 16);
      const left = f64x2.sub(first, f64x2.mul(step, nearest2(f64x2.mul(first, inverse), lows, highs)));
      const right = f64x2.sub(second, f64x2.mul(step, nearest2(f64x2.mul(second, inverse), lows, highs)));
      even = f64x2.add(even, f64x2.mul(f64x2.mul(v128.load(theirs), left), left));
      odd = f64x2.add(odd, f64x2.mul(f64x2.mul(v128.load(theirs, 16), right), right));
      theirs += 32;
    }
    sum = total(f64x2.add(even, odd));
  }
  return sum;
}

/** The scale that is best for the levels which are nearest at this one. */
function leastSquares(row: usize, weights: usize, count: usize, low: f64, high: f64, scale: f64): f64 {
  const inverse = f64x2.splat(1 / scale);
  const lows = f64x2.splat(low);
  const highs = f64x2.splat(high);
  let products = f64x2.splat(0);
  let squares = products;
  for (let i: usize = 0; i < count; i += 2) {
    const value = v128.load(row + i * 8);
    const level = nearest2(f64x2.mul(value, inverse), lows, highs);
    const weighted = f64x2.mul(v128.load(weights + i * 8), level);
    products = f64x2.add(products, f64x2.mul(weighted, value));
    squares = f64x2.add(squares, f64x2.mul(weighted, level));
  }
  const square = total(squares);
  return square > 0 ? total(products) / square : 0;
}

/** The nearest whole numbers in the range, of two the lower. */
function nearest2(x: v128, low: v128, high: v128): v128 {
  return f64x2.pmax(low, f64x2.pmin(high, f64x2.ceil(f64x2.sub(x, f64x2.splat(0.5)))));
}

/** Two floats as doubles. */
function two(x: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(x));
}

function total(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/** To float16, half to even; numbers other than zero stay so, and finite ones stay finite. */
function toHalf(x: f64): f64 {
  if (x === 0) return 0;
  const size = <f32>min<f64>(65504, max<f64>(2 ** -24, abs(x)));
  if (size < 2 ** -14) return copysign<f64>(nearest<f64>(<f64>size * 2 ** 24) * 2 ** -24, x);
  const bits = reinterpret<u32>(size);
  return copysign<f64>(<f64>reinterpret<f32>((bits + 0xfff + ((bits >> 13) & 1)) & ~0x1fff), x);
}

/** Indices of the levels from `low` up that are nearest to weight/scale: see `Kernels.nearestCodes`. */
export function nearestCodes(
  w: usize,
  groups: usize,
  group: usize,
  scales: usize,
  low: f64,
  high: f64,
  codes: usize,
): void {
  const lows = f64x2.splat(low);
  const zero = f64x2.splat(0);
  const most = f64x2.splat(high - low);
  for (let i: usize = 0; i < groups; i++) {
    const scale = <f64>load<f32>(scales + i * 4);
    if (scale === 0) {
      memory.fill(codes, <u8>-low, group);
      w += group * 4;
      codes += group;
      continue;
    }
    const step = f64x2.splat(scale);
    for (let left = group; left > 0; ) {
      const first = nearest2(f64x2.sub(f64x2.div(two(w), step), lows), zero, most);
      const second = nearest2(f64x2.sub(f64x2.div(two(w + 8), step), lows), zero, most);
      const low32 = i32x4.trunc_sat_f64x2_s_zero(first);
      const high32 = i32x4.trunc_sat_f64x2_s_zero(second);
      const all = v128.shuffle<i8>(low32, high32, 0, 4, 16, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
      // What is written past the end of a group is written over by the next one.
      v128.store32_lane(codes, all, 0);
      const taken = min<usize>(4, left);
      w += taken * 4;
      codes += taken;
      left -= taken;
    }
  }
}
