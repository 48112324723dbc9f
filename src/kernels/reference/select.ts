import type { FloatArray } from "./matmul.ts";

const BINS = 1 << 16;
/** Numbers up to which sorting is quicker. */
const FEW = 4096;

/**
 * Bits of |x| rounded to float32, as an unsigned integer: they order magnitudes exactly (NaN above infinity).
 */
export function magnitudeBits(values: FloatArray): Uint32Array {
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  const bits = new Uint32Array(floats.length);
  bits.set(new Uint32Array(floats.buffer, floats.byteOffset, floats.length));
  for (let i = 0; i < bits.length; i++) bits[i]! &= 0x7fffffff;
  return bits;
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
  for (let i = 0; i < arrays; i++) for (const b of magnitudeBits(await load(i))) high[b >>> 16]! += 1;
  const top = seek(high, count);
  const low = new Float64Array(BINS);
  for (let i = 0; i < arrays; i++) {
    for (const b of magnitudeBits(await load(i))) if (b >>> 16 === top.bin) low[b & 0xffff]! += 1;
  }
  const bottom = seek(low, top.rest);
  return { bits: top.bin * BINS + bottom.bin, ties: bottom.rest };
}

/** The same for one array at hand. */
export function threshold(bits: Uint32Array, count: number): Threshold {
  if (bits.length <= FEW) return sortedThreshold(bits, count);
  const high = new Uint32Array(BINS);
  for (let i = 0; i < bits.length; i++) high[bits[i]! >>> 16]! += 1;
  const top = seek(high, count);
  const low = new Uint32Array(BINS);
  for (let i = 0; i < bits.length; i++) if (bits[i]! >>> 16 === top.bin) low[bits[i]! & 0xffff]! += 1;
  const bottom = seek(low, top.rest);
  return { bits: top.bin * BINS + bottom.bin, ties: bottom.rest };
}

/** By sorting, which is quicker than bins for few numbers. */
function sortedThreshold(bits: Uint32Array, count: number): Threshold {
  if (count === 0) return { bits: 0, ties: 0 };
  const sorted = bits.slice().sort();
  const limit = sorted[count - 1]!;
  return { bits: limit, ties: count - sorted.indexOf(limit) };
}

/** First bin in which the running total reaches `count`, and what of `count` is left for it. */
function seek(bins: Uint32Array | Float64Array, count: number): { bin: number; rest: number } {
  let rest = count;
  for (let bin = 0; bin < BINS; bin++) {
    if (rest <= bins[bin]!) return { bin, rest };
    rest -= bins[bin]!;
  }
  return { bin: BINS - 1, rest };
}

/**
 * Marks the `count` smallest magnitudes with 1, exactly that many; of equal magnitudes those of lower index go
 * first.
 */
export function smallest(values: FloatArray, count: number): Uint8Array {
  const bits = magnitudeBits(values);
  const limit = threshold(bits, count);
  const marks = new Uint8Array(bits.length);
  let ties = limit.ties;
  for (let i = 0; i < bits.length; i++) {
    if (bits[i]! < limit.bits) marks[i] = 1;
    else if (bits[i] === limit.bits && ties > 0) {
      marks[i] = 1;
      ties -= 1;
    }
  }
  return marks;
}
