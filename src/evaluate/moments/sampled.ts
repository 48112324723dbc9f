import type { Random } from "../random.ts";

/**
 * `wanted` of the indices 0 … count − 1, rising: one at a random place of each of as many strata of (nearly) equal
 * size, so that no regular pattern of rows or columns is met; all of them where there are no more.
 */
export function sampledIndices(count: number, wanted: number, random: Random): Int32Array {
  const strata = Math.min(count, wanted);
  const start = (stratum: number) => Math.ceil((stratum * count) / strata);
  return Int32Array.from({ length: strata }, (_, i) => start(i) + random.integer(start(i + 1) - start(i)));
}
