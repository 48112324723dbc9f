import type { EvenLevels } from "../../kernels/kernels.ts";
import { halved } from "../storage/coded.ts";

/** The numbers that a scaled weight may become, in rising order. */
export interface Levels {
  readonly values: Float32Array;
  /** Evenly spaced integers, as the quantising kernel walks them. */
  readonly uniform: boolean;
}

/** −(count−1)/2 … (count−1)/2; an even count has one more below zero. `count` 2 … 256. */
export function uniformLevels(count: number): Levels {
  return { uniform: true, values: Float32Array.from({ length: count }, (_, i) => i - (count >> 1)) };
}

/** Evenly spaced levels as the kernels take them. */
export function evenLevels({ values }: Levels, group: number): EvenLevels {
  return { least: values[0]!, most: values.at(-1)!, group };
}

/** Index of the nearest level; of two equally near ones the lower. */
export function nearestLevel({ values, uniform }: Levels, x: number): number {
  const most = values.length - 1;
  if (uniform) return Math.min(most, Math.max(0, Math.ceil(x - values[0]! - 0.5)));
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x > (values[middle]! + values[middle + 1]!) / 2) low = middle + 1;
    else high = middle;
  }
  return low;
}

const BINS = 2048;

/**
 * Levels that minimise Σ weight·(point − level)² over points in [−1, 1]: k-means in one dimension, solved exactly by
 * dynamic programming over a fine histogram (Wang and Song, Ckmeans.1d.dp). Rounded to float16; fewer levels where
 * the points are fewer, but never less than two.
 *
 * @param count 1 … 256
 * @param withZero one of the levels is zero, and points that are zero do not count
 */
export function fittedLevels(
  points: Float32Array,
  weights: Float32Array,
  count: number,
  withZero: boolean,
): Levels {
  const mass = new Float64Array(BINS);
  const first = new Float64Array(BINS);
  const second = new Float64Array(BINS);
  for (let i = 0; i < points.length; i++) {
    const x = points[i]!;
    if (withZero && x === 0) continue;
    const bin = Math.min(BINS - 1, Math.max(0, Math.floor(((x + 1) / 2) * BINS)));
    mass[bin]! += weights[i]!;
    first[bin]! += weights[i]! * x;
    second[bin]! += weights[i]! * x * x;
  }
  const used = Array.from({ length: BINS }, (_, bin) => bin).filter((bin) => mass[bin]! > 0);
  const means = clusterMeans(
    used.map((bin) => mass[bin]!),
    used.map((bin) => first[bin]!),
    used.map((bin) => second[bin]!),
    Math.min(used.length, withZero ? count - 1 : count),
  );
  const levels = new Set<number>(halved(Float32Array.from(means)));
  if (withZero || levels.size < 2) levels.add(0);
  if (levels.size < 2) levels.add(1);
  return { uniform: false, values: Float32Array.from([...levels].sort((a, b) => a - b)) };
}

/** Means of the best `count` clusters of consecutive bins. */
function clusterMeans(
  mass: readonly number[],
  first: readonly number[],
  second: readonly number[],
  count: number,
): number[] {
  const n = mass.length;
  const [m, s, q] = [prefix(mass), prefix(first), prefix(second)];
  const cost = (from: number, to: number) => {
    const sum = s[to]! - s[from]!;
    return Math.max(0, q[to]! - q[from]! - (sum * sum) / (m[to]! - m[from]!));
  };
  // best[j]: least cost of the first j bins in as many clusters as rounds so far.
  let best = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
  best[0] = 0;
  const starts: Int32Array[] = [];
  for (let k = 1; k <= count; k++) {
    const next = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
    const start = new Int32Array(n + 1);
    // The best start of the last cluster rises with its end: divide and conquer.
    const solve = (low: number, high: number, from: number, to: number) => {
      if (low > high) return;
      const j = (low + high) >> 1;
      let at = Math.min(from, j - 1);
      for (let i = at; i <= Math.min(to, j - 1); i++) {
        const total = best[i]! + cost(i, j);
        if (total < next[j]!) {
          next[j] = total;
          at = i;
        }
      }
      start[j] = at;
      solve(low, j - 1, from, at);
      solve(j + 1, high, at, to);
    };
    solve(k, n, k - 1, n - 1);
    best = next;
    starts.push(start);
  }
  const means: number[] = [];
  for (let k = count, end = n; k > 0; k--) {
    const start = starts[k - 1]![end]!;
    means.push((s[end]! - s[start]!) / (m[end]! - m[start]!));
    end = start;
  }
  return means.reverse();
}

function prefix(values: readonly number[]): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, i) => {
    sums[i + 1] = sums[i]! + value;
  });
  return sums;
}
