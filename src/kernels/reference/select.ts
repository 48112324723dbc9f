import type { FloatArray } from "./matmul.ts";

const BINS = 1 << 16;
/** Numbers up to which sorting is quicker. */
const FEW = 4096;

/** All bits but the sign's: those of a magnitude, which they order exactly (NaN above infinity). */
const MAGNITUDE = 0x7fffffff;

/** Bits of the numbers rounded to float32, signs and all; of a Float32Array a view. */
export function bitsOf(values: FloatArray): Int32Array {
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  return new Int32Array(floats.buffer, floats.byteOffset, floats.length);
}

/** Where the `count` smallest magnitudes end: all of those below `bits`, and `ties` of those equal to it. */
export interface Threshold {
  readonly bits: number;
  readonly ties: number;
}

/**
 * Exact threshold under which the `count` smallest magnitudes of all arrays together lie, in O(n): a radix
 * selection in two passes of 16 bits. Arrays are asked for one at a time, twice each, so that they never have
 * to be in memory together.
 *
 * @param count 0 … number of elements
 */
export async function thresholdOver(
  arrays: number,
  load: (index: number) => Promise<FloatArray>,
  count: number,
): Promise<Threshold> {
  const high = new Float64Array(BINS);
  for (let i = 0; i < arrays; i++) countHigh(bitsOf(await load(i)), high);
  const top = seek(high, count);
  const low = new Float64Array(BINS);
  for (let i = 0; i < arrays; i++) countLow(bitsOf(await load(i)), top.bin, low);
  const bottom = seek(low, top.rest);
  return { bits: top.bin * BINS + bottom.bin, ties: bottom.rest };
}

/** The same for the bits of one array at hand. */
export function threshold(bits: Int32Array, count: number): Threshold {
  if (bits.length <= FEW) return sortedThreshold(bits, count);
  const high = new Float64Array(BINS);
  countHigh(bits, high);
  const top = seek(high, count);
  const low = new Float64Array(BINS);
  countLow(bits, top.bin, low);
  const bottom = seek(low, top.rest);
  return { bits: top.bin * BINS + bottom.bin, ties: bottom.rest };
}

/** How many magnitudes lie below the threshold, and how many on it. */
export function countUpTo(bits: Int32Array, limit: Threshold): { below: number; equal: number } {
  let [below, upTo] = [0, 0];
  for (let i = 0; i < bits.length; i++) {
    const above = (bits[i]! & MAGNITUDE) - limit.bits;
    below += above >>> 31;
    upTo += (above - 1) >>> 31;
  }
  return { below, equal: upTo - below };
}

/** Counts the upper halves of magnitudes. */
function countHigh(bits: Int32Array, bins: Float64Array): void {
  for (let i = 0; i < bits.length; i++) bins[(bits[i]! & MAGNITUDE) >>> 16]! += 1;
}

/** Counts the lower halves of those whose upper one is `high`. */
function countLow(bits: Int32Array, high: number, bins: Float64Array): void {
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & MAGNITUDE) >>> 16 === high) bins[bits[i]! & 0xffff]! += 1;
  }
}

/** By sorting, which is quicker than bins for few numbers. */
function sortedThreshold(bits: Int32Array, count: number): Threshold {
  if (count === 0) return { bits: 0, ties: 0 };
  const sorted = bits.map((one) => one & MAGNITUDE).sort();
  const limit = sorted[count - 1]!;
  return { bits: limit, ties: count - sorted.indexOf(limit) };
}

/** First bin in which the running total reaches `count`, and what of `count` is left for it. */
function seek(bins: Float64Array, count: number): { bin: number; rest: number } {
  let rest = count;
  for (let bin = 0; bin < BINS; bin++) {
    if (rest <= bins[bin]!) return { bin, rest };
    rest -= bins[bin]!;
  }
  return { bin: BINS - 1, rest };
}

/** The numbers with +0 in the place of those that {@link smallest} marks. */
export function withoutSmallest(values: Float32Array, count: number): Float32Array {
  const bits = bitsOf(values);
  const limit = threshold(bits, count);
  const rest = new Float32Array(values.length);
  const kept = bitsOf(rest);
  // All bits or none, by the sign of the difference: a branch on it would be guessed wrong half of the time.
  for (let i = 0; i < kept.length; i++) {
    kept[i] = bits[i]! & ~(((bits[i]! & MAGNITUDE) - limit.bits) >> 31);
  }
  for (let i = 0, ties = limit.ties; ties > 0 && i < kept.length; i++) {
    if ((bits[i]! & MAGNITUDE) !== limit.bits) continue;
    kept[i] = 0;
    ties -= 1;
  }
  return rest;
}

/**
 * Marks the `count` smallest magnitudes with 1, exactly that many; of equal magnitudes those of lower index go
 * first.
 */
export function smallest(values: FloatArray, count: number): Uint8Array {
  const bits = bitsOf(values);
  const limit = threshold(bits, count);
  const marks = new Uint8Array(bits.length);
  for (let i = 0; i < bits.length; i++) marks[i] = ((bits[i]! & MAGNITUDE) - limit.bits) >>> 31;
  for (let i = 0, ties = limit.ties; ties > 0 && i < bits.length; i++) {
    if ((bits[i]! & MAGNITUDE) !== limit.bits) continue;
    marks[i] = 1;
    ties -= 1;
  }
  return marks;
}
