import type { ProximalProblem, RegularizerName } from "../kernels.ts";

/** What the groups of entries are. */
export type GroupShape = Pick<ProximalProblem, "m" | "n" | "segment">;

/**
 * A regulariser R of a matrix X, m × n, and its proximal operator. Only + − × ÷ and square roots, so that every
 * host computes the same bits.
 */
export interface Regularizer {
  /** R(X). */
  value(x: Float64Array, shape: GroupShape): number;
  /** In place: V becomes X, a minimiser of ½·‖X−V‖² + t·R(X); its zeros are positive. */
  prox(v: Float64Array, t: number, shape: GroupShape): void;
}

/** Σ|x|: soft threshold. */
const l1: Regularizer = {
  value: (x) => x.reduce((sum, value) => sum + Math.abs(value), 0),
  prox: (v, t) => shrink(v, t, 1),
};

/** Number of non-zeros: hard threshold at √(2t). */
const l0: Regularizer = {
  value: (x) => x.reduce((count, value) => count + (value === 0 ? 0 : 1), 0),
  prox: (v, t) => {
    for (let i = 0; i < v.length; i++) if (v[i]! * v[i]! <= 2 * t) v[i] = 0;
  },
};

/** (Σ|x|)² / Σx² (DeepHoyer, Yang et al. 2020); 0 of nothing but zeros. */
const hoyerSquare: Regularizer = {
  value: (x) => hoyer(x),
  prox: (v, t) => {
    const { threshold, scale } = hoyerShrinkage(v, t);
    shrink(v, threshold, scale);
  },
};

/**
 * Hoyer-Square of the norms of the rows plus that of the norms of the input channels, a channel being its columns at
 * every kernel position. The proximal step is one over the rows, then one over the channels: exact for each of the
 * two, and for their sum as far as the step is small.
 */
const groupHoyerSquare: Regularizer = {
  value: (x, shape) => groupings(shape).reduce((sum, groups) => sum + hoyer(groups.norms(x)), 0),
  prox: (v, t, shape) => {
    for (const groups of groupings(shape)) {
      const norms = groups.norms(v);
      const { threshold, scale } = hoyerShrinkage(norms, t);
      const factors = norms.map((norm) => (norm > threshold ? ((norm - threshold) / norm) * scale : 0));
      for (let i = 0; i < v.length; i++) v[i] = v[i]! * factors[groups.of(i)]! + 0;
    }
  },
};

/** Σ (a+1)·|x| / (a+|x|), a = 1 (Zhang & Xin 2018): between L0 (a → 0) and L1 (a → ∞). */
const transformedL1: Regularizer = {
  value: (x) => x.reduce((sum, value) => sum + (2 * Math.abs(value)) / (1 + Math.abs(value)), 0),
  prox: (v, t) => {
    for (let i = 0; i < v.length; i++) {
      const shrunk = transformedShrinkage(Math.abs(v[i]!), t);
      v[i] = v[i]! < 0 && shrunk > 0 ? -shrunk : shrunk;
    }
  },
};

export const REGULARIZERS: Readonly<Record<RegularizerName, Regularizer>> = {
  l1,
  l0,
  hoyer_square: hoyerSquare,
  group_hoyer_square: groupHoyerSquare,
  transformed_l1: transformedL1,
};

/** x = sign(v) · scale · (|v| − threshold)₊ */
function shrink(v: Float64Array, threshold: number, scale: number): void {
  for (let i = 0; i < v.length; i++) {
    const over = Math.abs(v[i]!) - threshold;
    v[i] = over > 0 ? (v[i]! < 0 ? -over : over) * scale : 0;
  }
}

function hoyer(x: Float64Array): number {
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < x.length; i++) {
    sum += Math.abs(x[i]!);
    squares += x[i]! * x[i]!;
  }
  return squares > 0 ? sum ** 2 / squares : 0;
}

const MARGIN = 1e-9;

/**
 * Proximal operator of t·HS as a shrinkage x = scale · (|v| − a)₊.
 *
 * On its support x obeys x_j − v_j + 2t·S/Q − 2t·S²/Q²·x_j = 0 with S = Σx and Q = Σx²: with a = 2t·S/Q it is
 * x_j = (v_j − a) / (1 − a²/2t). HS does not change when entries are exchanged, so that the support is the k largest of
 * |v|, and putting x back into a = 2t·S/Q leaves for each k, with s₁ and s₂ the sums of |v| and v² over the support,
 * s₁·a² − (s₂ + 2tk)·a + 2t·s₁ = 0. The product of its roots is 2t and x needs a² < 2t: the smaller root it is. Of all k whose
 * root lies between the k-th and the next |v|, and of x = 0, the one of least ½‖x−v‖² + t·HS(x) is the minimum.
 */
function hoyerShrinkage(v: Float64Array, t: number): { threshold: number; scale: number } {
  if (t === 0) return { threshold: 0, scale: 1 };
  const sorted = v.map(Math.abs).sort();
  const total = sorted.reduce((sum, value) => sum + value * value, 0);
  let best = { threshold: Number.POSITIVE_INFINITY, scale: 0 };
  let least = total / 2;
  let s1 = 0;
  let s2 = 0;
  for (let k = 1; k <= sorted.length; k++) {
    const value = sorted[sorted.length - k]!;
    if (value === 0) break;
    s1 += value;
    s2 += value * value;
    const b = s2 + 2 * t * k;
    const a = (4 * t * s1) / (b + Math.sqrt(Math.max(0, b * b - 8 * t * s1 * s1)));
    const next = sorted[sorted.length - k - 1] ?? 0;
    const shrunk = 1 - (a * a) / (2 * t);
    // Within roundings of an entry of the support x is that entry's rounding error; the support without it is as good.
    if (a >= value * (1 - MARGIN) || a < next * (1 - 2 * MARGIN) || shrunk <= 0) continue;
    const scale = 1 / shrunk;
    const sum = scale * (s1 - k * a);
    const squares = scale * scale * (s2 - 2 * a * s1 + k * a * a);
    const cost = (squares - 2 * scale * (s2 - a * s1) + total) / 2 + (t * sum * sum) / squares;
    if (cost < least) {
      least = cost;
      best = { threshold: a, scale };
    }
  }
  return best;
}

/**
 * x ≥ 0 of least ½(x−v)² + 2t·x/(1+x), v ≥ 0. With u = 1 + x an inner minimum is the largest root of
 * u³ − (v+1)·u² + 2t, to which Newton's iteration falls from u = v + 1; zero is the rival.
 */
function transformedShrinkage(v: number, t: number): number {
  const turn = (2 * (v + 1)) / 3;
  let u = v + 1;
  for (let i = 0; i < 60; i++) {
    const slope = (3 * u - 2 * (v + 1)) * u;
    const step = ((u - (v + 1)) * u * u + 2 * t) / slope;
    if (!(u - step > turn)) return 0;
    if (!(step > 1e-12 * u)) break;
    u -= step;
  }
  const x = u - 1;
  return x > 0 && (x - v) ** 2 / 2 + (2 * t * x) / u < (v * v) / 2 ? x : 0;
}

/** Rows and input channels of a matrix: the group of each entry, and the norms of all. */
function groupings({ m, n, segment }: GroupShape) {
  const grouping = (count: number, of: (i: number) => number) => ({
    of,
    norms: (x: Float64Array) => {
      const squares = new Float64Array(count);
      for (let i = 0; i < x.length; i++) squares[of(i)]! += x[i]! * x[i]!;
      return squares.map(Math.sqrt);
    },
  });
  return [grouping(m, (i) => Math.floor(i / n)), grouping(segment, (i) => (i % n) % segment)];
}
