import { hoyer, hoyerShrinkage, scaleOf, thresholdOf } from "./hoyer";
import { nonZeros, padded, sumOfMagnitudes } from "./reduce";

export const L1: i32 = 0;
export const L0: i32 = 1;
export const HOYER_SQUARE: i32 = 2;
export const GROUP_HOYER_SQUARE: i32 = 3;
export const TRANSFORMED_L1: i32 = 4;

/** Steps of Newton's iteration at most, and the share of its value by which the last one moves. */
const MOST_STEPS: i32 = 60;
const LEAST_STEP: f64 = 1e-12;

/** Floats of `work` that {@link proximal} needs. */
export function proximalWork(m: usize, n: usize, regularizer: i32): usize {
  if (regularizer === HOYER_SQUARE) return m * n;
  return regularizer === GROUP_HOYER_SQUARE ? 5 * (max(m, n) + 4) : 0;
}

/**
 * V (m × n) becomes X, a minimiser of ½·‖X−V‖² + t·R(X), and R(X) is returned. Zero up to a whole vector.
 * @param spare room for m · n floats
 */
export function proximal(
  v: usize,
  m: usize,
  n: usize,
  segment: usize,
  regularizer: i32,
  t: f64,
  spare: usize,
  work: usize,
): f64 {
  const count = m * n;
  if (regularizer === L0) {
    keepLarge(v, count, t);
    return nonZeros(v, count);
  }
  if (regularizer === TRANSFORMED_L1) return shrinkTransformed(v, count, t);
  if (regularizer === GROUP_HOYER_SQUARE) return shrinkGroups(v, m, n, segment, t, work);
  if (regularizer === L1) {
    shrink(v, count, t, 1);
    return sumOfMagnitudes(v, count);
  }
  hoyerShrinkage(v, count, t, spare, work);
  shrink(v, count, thresholdOf(spare), scaleOf(spare));
  return hoyer(v, count);
}

/** x = sign(v) · factor · (|v| − least)₊, in double precision, since a large factor meets a small difference. */
function shrink(v: usize, count: usize, least: f64, factor: f64): void {
  const limit = f64x2.splat(least);
  const factors = f64x2.splat(factor);
  const zero = f64x2.splat(0);
  for (let i: usize = 0; i < count; i += 2) {
    const value = v128.load64_zero(v + i * 4);
    const over = f64x2.sub(f64x2.promote_low_f32x4(f32x4.abs(value)), limit);
    const x = f64x2.mul(factors, v128.and(over, f64x2.gt(over, zero)));
    v128.store64_lane(v + i * 4, signed(x, value), 0);
  }
}

/** Two magnitudes as floats with the signs of others; zeros are positive. */
function signed(magnitudes: v128, signs: v128): v128 {
  const x = f32x4.demote_f64x2_zero(magnitudes);
  const sign = v128.and(signs, i32x4.splat(i32.MIN_VALUE));
  return v128.or(x, v128.and(sign, f32x4.ne(x, f32x4.splat(0))));
}

/** Zero where v² ≤ 2t. */
function keepLarge(v: usize, count: usize, t: f64): void {
  for (let i: usize = 0; i < count; i++) {
    const value = <f64>load<f32>(v + i * 4);
    if (value * value <= 2 * t) store<f32>(v + i * 4, 0);
  }
}

/**
 * Transformed L1: zero up to a threshold of closed form (Zhang & Xin 2017, Theorem 3.1, a = 1), and above it x = u − 1
 * with u the largest root of u³ − (|v|+1)·u² + 2t, to which Newton's iteration falls from |v| + 1.
 */
function shrinkTransformed(v: usize, count: usize, t: f64): f64 {
  const limit = f64x2.splat(t <= 0.25 ? 2 * t : 2 * sqrt(t) - 0.5);
  let sum = f64x2.splat(0);
  for (let i: usize = 0; i < count; i += 2) {
    const value = v128.load64_zero(v + i * 4);
    const x = shrinkTwo(f64x2.promote_low_f32x4(f32x4.abs(value)), limit, t);
    sum = f64x2.add(sum, f64x2.div(f64x2.add(x, x), f64x2.add(x, f64x2.splat(1))));
    v128.store64_lane(v + i * 4, signed(x, value), 0);
  }
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

function shrinkTwo(v: v128, limit: v128, t: f64): v128 {
  const above = f64x2.gt(v, limit);
  if (!v128.any_true(above)) return f64x2.splat(0);
  const one = f64x2.splat(1);
  const top = f64x2.add(v, one);
  const twice = f64x2.splat(2 * t);
  let u = top;
  for (let i = 0; i < MOST_STEPS; i++) {
    const slope = f64x2.mul(u, f64x2.sub(f64x2.mul(f64x2.splat(3), u), f64x2.add(top, top)));
    const value = f64x2.add(f64x2.mul(f64x2.sub(u, top), f64x2.mul(u, u)), twice);
    const step = v128.and(f64x2.div(value, slope), above);
    if (!v128.any_true(f64x2.gt(step, f64x2.mul(f64x2.splat(LEAST_STEP), u)))) break;
    u = f64x2.sub(u, step);
  }
  return f64x2.max(f64x2.splat(0), v128.and(f64x2.sub(u, one), above));
}

/** Group Hoyer-Square: one step over the rows, then one over the input channels. */
function shrinkGroups(v: usize, m: usize, n: usize, segment: usize, t: f64, work: usize): f64 {
  const room = ((max(m, n) + 3) & ~3) * 4;
  const sums = work + 3 * room;
  rowNorms(v, m, n, work);
  factors(work, m, t, work + room, work + 2 * room);
  for (let i: usize = 0; i < m; i++) {
    const factor = load<f32>(work + i * 4);
    for (let j: usize = 0; j < n; j++) multiplyBy(factor, v + (i * n + j) * 4);
  }
  channelNorms(v, m, n, segment, work, sums);
  factors(work, segment, t, work + room, work + 2 * room);
  for (let i: usize = 0; i < m * n; i += segment) {
    for (let j: usize = 0; j < segment; j++) multiplyBy(load<f32>(work + j * 4), v + (i + j) * 4);
  }
  rowNorms(v, m, n, work);
  const ofRows = hoyer(work, m);
  channelNorms(v, m, n, segment, work, sums);
  return ofRows + hoyer(work, segment);
}

/** The sum makes a zero positive. */
function multiplyBy(factor: f32, x: usize): void {
  store<f32>(x, factor * load<f32>(x) + <f32>0);
}

/** Norms become what their groups are multiplied by. */
function factors(norms: usize, count: usize, t: f64, spare: usize, work: usize): void {
  hoyerShrinkage(norms, count, t, spare, work);
  const threshold = thresholdOf(spare);
  const scale = scaleOf(spare);
  for (let i: usize = 0; i < count; i++) {
    const norm = <f64>load<f32>(norms + i * 4);
    store<f32>(norms + i * 4, norm > threshold ? <f32>(((norm - threshold) / norm) * scale) : 0);
  }
}

function rowNorms(x: usize, m: usize, n: usize, norms: usize): void {
  for (let i: usize = 0; i < m; i++) {
    let sum: f64 = 0;
    for (let j: usize = 0; j < n; j++) {
      const value = <f64>load<f32>(x + (i * n + j) * 4);
      sum += value * value;
    }
    store<f32>(norms + i * 4, <f32>sqrt(sum));
  }
  padded(norms, m);
}

/** Norms of the input channels: of the columns that are `segment` apart. */
function channelNorms(x: usize, m: usize, n: usize, segment: usize, norms: usize, sums: usize): void {
  memory.fill(sums, 0, segment * 8);
  for (let i: usize = 0; i < m * n; i += segment) {
    for (let j: usize = 0; j < segment; j++) {
      const value = <f64>load<f32>(x + (i + j) * 4);
      store<f64>(sums + j * 8, load<f64>(sums + j * 8) + value * value);
    }
  }
  for (let j: usize = 0; j < segment; j++) store<f32>(norms + j * 4, <f32>sqrt(load<f64>(sums + j * 8)));
  padded(norms, segment);
}
