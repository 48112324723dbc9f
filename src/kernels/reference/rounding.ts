import type { EvenLevels } from "../kernels.ts";
import { roundedToHalf } from "./half.ts";
import { searchScale } from "./scale-search.ts";

export function fitScales(
  w: Float32Array,
  weights: Float32Array,
  { least, most, group }: EvenLevels,
  half: boolean,
): Float32Array {
  const levels = { low: least, high: most, nearest: (x: number) => nearest(x, least, most) };
  return Float32Array.from({ length: w.length / group || 0 }, (_, i) => {
    const from = i * group;
    const theirs = weights.subarray(from % weights.length);
    return searchScale(w.subarray(from, from + group), theirs, levels, half ? roundedToHalf : Math.fround);
  });
}

export function nearestCodes(
  w: Float32Array,
  scales: Float32Array,
  { least, most, group }: EvenLevels,
): Uint8Array {
  return Uint8Array.from(w, (value, i) => {
    const scale = scales[Math.floor(i / group)]!;
    return nearest((scale === 0 ? 0 : value / scale) - least, 0, most - least);
  });
}

/** The nearest whole number in the range, of two the lower. */
function nearest(x: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, Math.ceil(x - 0.5)));
}
