import { BINS } from "./memory";
import { sumOfMagnitudes, sumOfProducts } from "./reduce";

/** As in the reference: within this share of an entry a threshold counts as equal to it. */
const MARGIN: f64 = 1e-9;
/** Bits of a pass of the radix sort; three passes take the 31 bits of a magnitude. */
const DIGIT: i32 = 11;

/** (Σ|x|)² / Σx², 0 of zeros. */
export function hoyer(x: usize, count: usize): f64 {
  const sum = sumOfMagnitudes(x, count);
  const squares = sumOfProducts(x, x, count);
  return squares > 0 ? (sum * sum) / squares : 0;
}

/**
 * The proximal operator of t·HS as a shrinkage scale · (|v| − threshold)₊, found as the reference finds it: the derivation is there. A support is
 * skipped before its root is drawn where the quadratic is negative at the largest entry outside of it, since its
 * smaller root then lies below that entry.
 * @param found room for `count` floats, gets `threshold` and `scale` as doubles
 * @param work room for `count` floats
 */
export function hoyerShrinkage(v: usize, count: usize, t: f64, found: usize, work: usize): void {
  if (t > 0) sortMagnitudes(v, count, work, found);
  setFound(found, t > 0 ? f64.MAX_VALUE : 0, t > 0 ? 0 : 1);
  if (t === 0) return;
  const squaresOfAll = sumOfProducts(v, v, count);
  let least = squaresOfAll / 2;
  let s1: f64 = 0;
  let s2: f64 = 0;
  for (let k: usize = 1; k <= count; k++) {
    const value = <f64>load<f32>(work + (count - k) * 4);
    if (value === 0) return;
    s1 += value;
    s2 += value * value;
    const b = s2 + 2 * t * <f64>k;
    const next = k < count ? <f64>load<f32>(work + (count - k - 1) * 4) * (1 - 2 * MARGIN) : 0;
    if (next * (s1 * next - b) + 2 * t * s1 < 0) continue;
    const a = (4 * t * s1) / (b + sqrt(max(0, b * b - 8 * t * s1 * s1)));
    const shrunk = 1 - (a * a) / (2 * t);
    if (a >= value * (1 - MARGIN) || a < next || !(shrunk > 0)) continue;
    const factor = 1 / shrunk;
    const sum = factor * (s1 - <f64>k * a);
    const squares = factor * factor * (s2 - 2 * a * s1 + <f64>k * a * a);
    const cost = (squares - 2 * factor * (s2 - a * s1) + squaresOfAll) / 2 + (t * sum * sum) / squares;
    if (cost < least) {
      least = cost;
      setFound(found, a, factor);
    }
  }
}

export function thresholdOf(found: usize): f64 {
  return load<f64>(found);
}

export function scaleOf(found: usize): f64 {
  return load<f64>(found, 8);
}

function setFound(found: usize, threshold: f64, scale: f64): void {
  store<f64>(found, threshold);
  store<f64>(found, scale, 8);
}

/** The magnitudes of v in rising order into `to`, by a radix sort of their bits. */
function sortMagnitudes(v: usize, count: usize, to: usize, spare: usize): void {
  pass(v, count, to, 0);
  pass(to, count, spare, DIGIT);
  pass(spare, count, to, 2 * DIGIT);
}

function pass(from: usize, count: usize, to: usize, shift: i32): void {
  memory.fill(BINS, 0, 4 << DIGIT);
  const end = from + count * 4;
  for (let at = from; at < end; at += 4) {
    const bin = binOf(load<u32>(at), shift);
    store<u32>(bin, load<u32>(bin) + 1);
  }
  let place = <u32>to;
  for (let bin = BINS; bin < BINS + (4 << DIGIT); bin += 4) {
    const size = load<u32>(bin);
    store<u32>(bin, place);
    place += 4 * size;
  }
  for (let at = from; at < end; at += 4) {
    const bits = load<u32>(at) & 0x7fffffff;
    const bin = binOf(bits, shift);
    const target = load<u32>(bin);
    store<u32>(target, bits);
    store<u32>(bin, target + 4);
  }
}

function binOf(bits: u32, shift: i32): usize {
  return BINS + ((<usize>(((bits & 0x7fffffff) >> shift) & ((1 << DIGIT) - 1))) << 2);
}
