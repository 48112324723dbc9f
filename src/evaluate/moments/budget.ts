import type { MomentsTask } from "./plan.ts";

export interface MomentsLimits {
  /** Multiply-accumulates for the Gram matrices of the whole model. */
  readonly gramMacs: number;
  /** Vectors for each feature that a matrix sums over, beyond which more of them tell little. */
  readonly vectorsPerFeature: number;
  /** Vectors that a layer gets however few features it has. */
  readonly fewestVectors: number;
  /** Bytes of activations that one run may give back. */
  readonly activationBytes: number;
  /** Bytes of Gram matrices that are held at a time. */
  readonly gramBytes: number;
}

const FLOAT_BYTES = 4;
/** Halvings of the range in which the vectors for each feature are searched. */
const HALVINGS = 40;

/**
 * How many vectors each of a task's matrices is to see over all runs: all of them where the limits allow it, else the
 * same number a feature for every task (G of n features is as well known from κ·n vectors whatever n is), the largest
 * that keeps the work of all tasks under `gramMacs`.
 */
export function vectorTargets(
  tasks: readonly MomentsTask[],
  runs: number,
  { gramMacs, vectorsPerFeature, fewestVectors }: MomentsLimits,
): number[] {
  const targets = (perFeature: number) =>
    tasks.map((task) => {
      const wanted = Math.max(fewestVectors, task.keepsGram ? Math.ceil(perFeature * task.n) : 0);
      return Math.min(wanted, mostVectors(task, runs));
    });
  const fits = (perFeature: number) => macs(tasks, targets(perFeature)) <= gramMacs;
  if (fits(vectorsPerFeature)) return targets(vectorsPerFeature);
  let [low, high] = [0, vectorsPerFeature];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return targets(low);
}

function mostVectors({ uses }: MomentsTask, runs: number): number {
  let most = 0;
  for (const { vectors } of uses) most += vectors === null ? Number.POSITIVE_INFINITY : vectors * runs;
  return most;
}

/** Multiply-accumulates of the symmetric products. */
function macs(tasks: readonly MomentsTask[], targets: readonly number[]): number {
  return tasks.reduce(
    (sum, { distinct, n, keepsGram }, i) =>
      sum + (keepsGram ? (distinct * targets[i]! * n * (n + 1)) / 2 : 0),
    0,
  );
}

/** Tasks, by index, that are collected from the same runs: neighbours whose values and results fit in memory at once. */
export function passesOf(tasks: readonly MomentsTask[], limits: MomentsLimits): number[][] {
  const passes: number[][] = [];
  let values = new Set<string>();
  let activationBytes = 0;
  let gramBytes = 0;
  for (const [index, task] of tasks.entries()) {
    const grams = task.keepsGram ? task.distinct * task.n ** 2 * FLOAT_BYTES : 0;
    let more = newBytes(task, values, limits);
    const isFull = activationBytes + more > limits.activationBytes || gramBytes + grams > limits.gramBytes;
    if (passes.length === 0 || isFull) {
      passes.push([]);
      values = new Set();
      [activationBytes, gramBytes] = [0, 0];
      more = newBytes(task, values, limits);
    }
    passes.at(-1)!.push(index);
    for (const key of valueKeys(task)) values.add(key);
    activationBytes += more;
    gramBytes += grams;
  }
  return passes;
}

/** Bytes of values that the pass does not see yet; of one of unknown size a quarter of what fits is assumed. */
function newBytes(task: MomentsTask, seen: ReadonlySet<string>, limits: MomentsLimits): number {
  const counted = new Set(seen);
  let bytes = 0;
  for (const { path, reading, bytes: sizes } of task.uses) {
    for (const [i, name] of reading.values.entries()) {
      const key = valueKey(path, name);
      if (!counted.has(key)) bytes += sizes[i] ?? limits.activationBytes / 4;
      counted.add(key);
    }
  }
  return bytes;
}

function valueKeys({ uses }: MomentsTask): string[] {
  return uses.flatMap(({ path, reading }) => reading.values.map((name) => valueKey(path, name)));
}

/** Names a value of one of the model's graphs. */
export function valueKey(path: readonly string[], name: string): string {
  return JSON.stringify([path, name]);
}
