import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { magnitudeBits, smallest } from "../../kernels/reference/select.ts";

/** N of every M consecutive weights along the input dimension may be other than zero. */
export const N_OF_M = { "2:4": { keep: 2, of: 4 }, "4:8": { keep: 4, of: 8 } } as const;

export type NOfM = keyof typeof N_OF_M;

/** A copy with exactly `zeros` of the smallest magnitudes set to zero (ties: lower index first). */
export function pruneSmallest(values: FloatArray, zeros: number): FloatArray {
  const pruned = values.slice();
  const marks = smallest(values, Math.min(zeros, values.length));
  for (let i = 0; i < marks.length; i++) if (marks[i] === 1) pruned[i] = 0;
  return pruned;
}

/**
 * A copy in which each group of M weights along `axis` keeps its N largest magnitudes (ties: the higher index
 * stays). Groups start at 0; a last group of fewer than M weights keeps N at most.
 *
 * @param dims row-major shape of `values`
 */
export function pruneNOfM(
  values: FloatArray,
  dims: readonly number[],
  axis: number,
  pattern: NOfM,
): FloatArray {
  const { keep, of } = N_OF_M[pattern];
  const pruned = values.slice();
  const bits = magnitudeBits(values);
  const length = dims[axis] ?? 1;
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const outer = length * inner === 0 ? 0 : values.length / (length * inner);
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < inner; j++) {
      for (let start = 0; start < length; start += of) {
        const group: number[] = [];
        for (let a = start; a < Math.min(start + of, length); a++) group.push((o * length + a) * inner + j);
        group.sort((x, y) => bits[x]! - bits[y]! || x - y);
        for (const index of group.slice(0, Math.max(0, group.length - keep))) pruned[index] = 0;
      }
    }
  }
  return pruned;
}
