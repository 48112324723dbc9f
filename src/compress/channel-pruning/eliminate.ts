import type { Kernels } from "../../kernels/kernels.ts";
import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { choleskyOf } from "./refit.ts";

/** Share of a group's units that are taken out one after the other; the rest are scored as they then stand. */
const ELIMINATED = 0.75;

/** One matrix that sums over the units of a group. */
export interface Consumer {
  readonly n: number;
  readonly rows: number;
  /** Wᵀ, n × rows. Changed. */
  readonly w: Float64Array;
  /** C⁻¹, n × n. Changed. */
  readonly inverse: Float64Array;
  /** Columns of each unit. */
  readonly sets: readonly (readonly number[])[];
  /** What an error of 1 in its output counts. */
  readonly weight: number;
}

/** Multiply-adds of {@link eliminationCosts}, about. */
export function eliminationWork(n: number, sets: readonly (readonly number[])[]): number {
  return ELIMINATED * n * n * sets.reduce((sum, set) => sum + set.length, 0);
}

export function consumerOf(
  w: FloatArray,
  rows: number,
  n: number,
  inverse: Float64Array,
  sets: Consumer["sets"],
  weight: number,
): Consumer {
  const transposed = new Float64Array(n * rows);
  for (let r = 0; r < rows; r++) for (let c = 0; c < n; c++) transposed[c * rows + r] = w[r * n + c]!;
  return { n, rows, w: transposed, inverse, sets, weight };
}

/**
 * What each unit costs when its turn comes, the cheapest first, with the columns that stay refitted after each (optimal
 * brain surgeon by blocks of columns: OBS, 1993; in this form OSSCAR and ZipLM): of two channels that are nearly the
 * same only one is cheap. Never falling in the order of removal, so that taking the cheapest of them follows it.
 */
export function eliminationCosts(
  consumers: readonly Consumer[],
  units: number,
  kernels: Kernels,
): Float64Array {
  const costs = new Float64Array(units);
  const left = new Set(Array.from({ length: units }, (_, unit) => unit));
  let reached = 0;
  for (let step = 0; left.size > 1 && step < ELIMINATED * units; step++) {
    let cheapest = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const unit of left) {
      const cost = costOf(consumers, unit, kernels);
      if (cost < least || cheapest < 0) [cheapest, least] = [unit, cost];
    }
    reached = Math.max(reached, least);
    costs[cheapest] = reached;
    left.delete(cheapest);
    for (const consumer of consumers) takeOut(consumer, consumer.sets[cheapest]!, kernels);
  }
  for (const unit of left) costs[unit] = Math.max(reached, costOf(consumers, unit, kernels));
  return costs;
}

/** Σ over consumers of tr(W_S·([C⁻¹]_SS)⁻¹·W_Sᵀ). */
function costOf(consumers: readonly Consumer[], unit: number, kernels: Kernels): number {
  let cost = 0;
  for (const consumer of consumers)
    cost += consumer.weight * blockCost(consumer, consumer.sets[unit]!, kernels);
  return cost;
}

export function blockCost(
  { n, rows, w, inverse }: Consumer,
  set: readonly number[],
  kernels: Kernels,
): number {
  let cost = 0;
  if (set.length === 1) {
    const [c] = set as [number];
    for (let r = 0; r < rows; r++) cost += w[c * rows + r]! ** 2;
    const scale = inverse[c * n + c]!;
    return scale > 0 ? cost / scale : 0;
  }
  const right = rowsOf(w, rows, set);
  const solved = solvedBlock(inverse, n, set, right, rows, kernels);
  if (!solved) return 0;
  for (let i = 0; i < right.length; i++) cost += right[i]! * solved[i]!;
  return Math.max(0, cost);
}

/** Removes the columns from W and from C: what stays makes up for them. */
function takeOut({ n, rows, w, inverse }: Consumer, set: readonly number[], kernels: Kernels): void {
  const ofW = solvedBlock(inverse, n, set, rowsOf(w, rows, set), rows, kernels);
  const strips = rowsOf(inverse, n, set);
  const ofInverse = ofW && solvedBlock(inverse, n, set, strips, n, kernels);
  if (!ofW || !ofInverse) return;
  for (let i = 0; i < n; i++) {
    for (let s = 0; s < set.length; s++) {
      const factor = strips[s * n + i]!;
      if (factor === 0) continue;
      for (let r = 0; r < rows; r++) w[i * rows + r]! -= factor * ofW[s * rows + r]!;
    }
  }
  subtractProduct(inverse, strips, ofInverse, set.length, n);
  // They are zero but for rounding; exactly so, later steps skip them.
  for (const c of set) {
    w.fill(0, c * rows, (c + 1) * rows);
    inverse.fill(0, c * n, (c + 1) * n);
    for (let i = 0; i < n; i++) inverse[i * n + c] = 0;
  }
}

/** A −= Bᵀ·C for a result that is symmetric: B and C k × n, A n × n. Four rows at a time, one half, then the other. */
function subtractProduct(a: Float64Array, b: Float64Array, c: Float64Array, k: number, n: number): void {
  if (k === 1) {
    for (let i = 0; i < n; i++) {
      const factor = b[i]!;
      if (factor === 0) continue;
      const row = a.subarray(i * n, (i + 1) * n);
      for (let j = 0; j < n; j++) row[j]! -= factor * c[j]!;
    }
    return;
  }
  const zeros = new Float64Array(n);
  const rowsOfC = Array.from({ length: k }, (_, s) => c.subarray(s * n, (s + 1) * n));
  for (let s = 0; s < k; s += 4) {
    const [c0, c1, c2, c3] = [0, 1, 2, 3].map((t) => rowsOfC[s + t] ?? zeros) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const factor = (t: number, i: number) => (s + t < k ? b[(s + t) * n + i]! : 0);
    for (let i = 0; i < n; i++) {
      const [b0, b1, b2, b3] = [factor(0, i), factor(1, i), factor(2, i), factor(3, i)];
      if (b0 === 0 && b1 === 0 && b2 === 0 && b3 === 0) continue;
      const row = a.subarray(i * n, (i + 1) * n);
      for (let j = i; j < n; j++) row[j]! -= b0 * c0[j]! + b1 * c1[j]! + b2 * c2[j]! + b3 * c3[j]!;
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i]!;
}

/** ([C⁻¹]_SS)⁻¹·B; null where rounding has left it singular. */
function solvedBlock(
  inverse: Float64Array,
  n: number,
  set: readonly number[],
  b: Float64Array,
  m: number,
  kernels: Kernels,
): Float64Array | null {
  const k = set.length;
  const block = new Float64Array(k * k);
  for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) block[i * k + j] = inverse[set[i]! * n + set[j]!]!;
  const factor = choleskyOf(block, k, kernels);
  return factor && kernels.solveCholesky(factor, b, k, m);
}

function rowsOf(matrix: Float64Array, width: number, set: readonly number[]): Float64Array {
  const rows = new Float64Array(set.length * width);
  set.forEach((row, i) => {
    rows.set(matrix.subarray(row * width, (row + 1) * width), i * width);
  });
  return rows;
}
