import type { Kernels } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";
import { unwhitened } from "./activation-aware-svd.ts";
import { applied, contracted, expanded, type Kronecker } from "./kronecker.ts";
import {
  dividedBy,
  firstColumns,
  inner,
  jitteredCholesky,
  type Metric,
  symmetric,
  timesMetric,
  transposed,
} from "./metric.ts";
import { reducedMoments } from "./reduced-moments.ts";

/** One of the matrices that share a first factor. */
export interface Part {
  /** rows × blocks·columns·inner, in that order of features; finite. */
  readonly w: Float32Array;
  readonly rows: number;
  readonly kronecker: Kronecker;
  readonly metric: Metric;
  /** Of its lost energy in the sum that is minimised. */
  readonly weight: number;
}

/** W_l ≈ A_l·T(S) with one S for all parts. */
export interface Bilinear {
  /** Rows of S. */
  readonly rank: number;
  /** S: rank × columns. */
  readonly first: Float32Array;
  /** A_l: rows × blocks·rank·inner, one a part. */
  readonly last: readonly Float32Array[];
  /** The error before each sweep and after the last, as a share of the whole in the damped metric. It never grows. */
  readonly history: readonly number[];
}

export interface AlternatingOptions {
  /** At most so many sweeps; one that gains less than a thousandth is the last. */
  readonly sweeps?: number;
  /** Begins from this first factor, orthonormalised here, and not from the solver's own. */
  readonly start?: Float32Array;
  /** What the last factors must be like: a rank, a support. */
  readonly constrain?: Constraint;
}

/** The best last factor that keeps a constraint, from the best without. */
export type Constraint = (last: {
  readonly part: number;
  /** A: the minimiser without the constraint, rows × features. */
  readonly free: Float32Array;
  /** A·H, with H the second moments of A's features. */
  readonly seen: Float32Array;
  /** H as moments, damped; their mean is not known. */
  readonly moments: InputMoments;
}) => Float32Array;

export interface Alternating {
  at(rank: number, options?: AlternatingOptions): Bilinear;
}

/** Steps of conjugate gradients that renew S; preconditioned, three or four come within a percent of its optimum. */
const CONJUGATE_STEPS = 4;
const SWEEPS = 4;
const LEAST_GAIN = 1e-3;
/** Columns of S up to which the preconditioner has all of their mean G, and not its diagonal alone. */
const DENSE_COLUMNS = 1024;

interface Prepared extends Part {
  /** W·G. */
  readonly seen: Float32Array;
  /** tr(W·G·Wᵀ). */
  readonly total: number;
}

/** A point of the search: factors, E·G of the error E = A·T(S) − W of each part, and the weighted tr(E·G·Eᵀ). */
interface Point {
  readonly first: Float32Array;
  readonly last: readonly Float32Array[];
  readonly errors: readonly Float32Array[];
  readonly lost: number;
}

/**
 * Alternating least squares for Σ_l weight_l·tr((A_l·T(S) − W_l)·G_l·(A_l·T(S) − W_l)ᵀ), which is linear in the A_l
 * for given S (normal equations, Cholesky) and in S for given A_l (conjugate gradients on the normal equations,
 * preconditioned by the Kronecker product of AᵀA's and G's mean blocks, from the S at hand).
 *
 * Starts from the better of two: the SVD of the unfolded weights, which is the data-free answer, and the same SVD
 * whitened by G's mean block. No step raises the error, so that the result is never worse than data-free.
 *
 * @param starts further first factors to begin from, orthonormalised here; in place of the two where given
 */
export function alternating(
  parts: readonly Part[],
  kernels: Kernels,
  starts: (rank: number) => Float32Array[] = unfoldedStarts(parts, kernels),
): Alternating {
  const prepared = parts.map((part): Prepared => {
    const seen = timesMetric(part.w, part.rows, part.metric, kernels);
    return { ...part, seen, total: inner(seen, part.w) };
  });
  const total = prepared.reduce((sum, part) => sum + part.weight * part.total, 0);
  const columns = parts[0]!.kronecker.columns;
  const mean = rootOfMean(parts, kernels);
  return {
    at(asked, { sweeps = SWEEPS, start, constrain = unconstrained } = {}) {
      const rank = Math.min(asked, columns);
      const pointAt = (s: Float32Array) =>
        lastRenewed(prepared, orthonormal(s, rank), rank, constrain, kernels);
      let best = (start ? [start] : starts(rank))
        .map(pointAt)
        .reduce((one, other) => (other.lost < one.lost ? other : one));
      const history = [share(best.lost, total)];
      for (let sweep = 0; sweep < sweeps && best.lost > 0; sweep++) {
        const next = pointAt(firstRenewed(prepared, best, rank, mean, kernels));
        if (!(next.lost < best.lost)) break;
        const gain = 1 - next.lost / best.lost;
        best = next;
        history.push(share(best.lost, total));
        if (gain < LEAST_GAIN) break;
      }
      return { rank, first: best.first, last: best.last, history };
    },
  };
}

const unconstrained: Constraint = ({ free }) => free;

function share(lost: number, total: number): number {
  return total > 0 ? lost / total : 0;
}

/** The best A_l for S. */
function lastRenewed(
  parts: readonly Prepared[],
  first: Float32Array,
  rank: number,
  constrain: Constraint,
  kernels: Kernels,
): Point {
  const last: Float32Array[] = [];
  const errors: Float32Array[] = [];
  let lost = 0;
  for (const [index, part] of parts.entries()) {
    const { rows, kronecker, metric, w, weight } = part;
    const seen = applied(kronecker, first, rank, part.seen, rows, kernels);
    const unknown = { count: 1, mean: new Float32Array(metric.n) };
    const moments = reducedMoments({ ...metric, ...unknown }, kronecker, first, rank, kernels);
    const free = moments.gram
      ? dividedBy(seen, rows, Float64Array.from(moments.gram), moments.n, kernels)
      : blockwiseDivided(part, seen, first, rank, kernels);
    const a = constrain({ part: index, free, seen, moments });
    const error = expanded(kronecker, first, rank, a, rows, kernels);
    for (let i = 0; i < error.length; i++) error[i]! -= w[i]!;
    const weighted = timesMetric(error, rows, metric, kernels);
    lost += weight * Math.max(0, inner(weighted, error));
    last.push(a);
    errors.push(weighted);
  }
  return { first, last, errors, lost };
}

/** The same as dividedBy, for a diagonal G: a small system for each block and inner position. */
function blockwiseDivided(
  { rows, kronecker: { blocks, columns, inner }, metric: { diagonal } }: Part,
  wanted: Float32Array,
  first: Float32Array,
  rank: number,
  kernels: Kernels,
): Float32Array {
  const a = new Float32Array(wanted.length);
  const size = blocks * rank * inner;
  const small = new Float64Array(rank * rank);
  const b = new Float32Array(rows * rank);
  for (let block = 0; block < blocks; block++) {
    for (let q = 0; q < inner; q++) {
      for (let s = 0; s < rank; s++) {
        for (let t = 0; t <= s; t++) {
          let sum = 0;
          for (let j = 0; j < columns; j++) {
            sum +=
              first[s * columns + j]! *
              first[t * columns + j]! *
              diagonal[(block * columns + j) * inner + q]!;
          }
          small[s * rank + t] = sum;
          small[t * rank + s] = sum;
        }
      }
      const at = (r: number, s: number) => r * size + (block * rank + s) * inner + q;
      for (let r = 0; r < rows; r++) for (let s = 0; s < rank; s++) b[r * rank + s] = wanted[at(r, s)]!;
      const solved = dividedBy(b, rows, small, rank, kernels);
      for (let r = 0; r < rows; r++) for (let s = 0; s < rank; s++) a[at(r, s)] = solved[r * rank + s]!;
    }
  }
  return a;
}

/** A better S for the A_l at hand: preconditioned conjugate gradients from where it is. */
function firstRenewed(
  parts: readonly Prepared[],
  { first, last, errors }: Point,
  rank: number,
  mean: Float64Array,
  kernels: Kernels,
): Float32Array {
  const columns = parts[0]!.kronecker.columns;
  const weightedSum = (of: (part: Prepared, index: number) => Float32Array): Float64Array => {
    const sum = new Float64Array(rank * columns);
    parts.forEach((part, index) => {
      const x = contracted(part.kronecker, rank, last[index]!, of(part, index), part.rows, kernels);
      for (let i = 0; i < sum.length; i++) sum[i]! += part.weight * x[i]!;
    });
    return sum;
  };
  const curvature = (direction: Float64Array) =>
    weightedSum(({ kronecker, rows, metric }, index) => {
      const moved = expanded(kronecker, Float32Array.from(direction), rank, last[index]!, rows, kernels);
      return timesMetric(moved, rows, metric, kernels);
    });
  const outer = jitteredCholesky(outerGram(parts, last, rank, kernels), rank, kernels);
  const preconditioned = (r: Float64Array) => {
    const half = kernels.solveCholesky(outer, r, rank, columns);
    return transposed(
      kernels.solveCholesky(mean, transposed(half, rank, columns), columns, rank),
      columns,
      rank,
    );
  };
  const s = Float64Array.from(first);
  const residual = weightedSum((_, index) => errors[index]!).map((one) => -one);
  let z = preconditioned(residual);
  let direction = z.slice();
  let rz = dot(residual, z);
  for (let step = 0; step < CONJUGATE_STEPS && rz > 0; step++) {
    const curved = curvature(direction);
    const along = dot(direction, curved);
    if (!(along > 0)) break;
    const alpha = rz / along;
    for (let i = 0; i < s.length; i++) {
      s[i]! += alpha * direction[i]!;
      residual[i]! -= alpha * curved[i]!;
    }
    z = preconditioned(residual);
    const next = dot(residual, z);
    const beta = next / rz;
    direction = direction.map((one, i) => z[i]! + beta * one);
    rz = next;
  }
  return Float32Array.from(s);
}

/** Σ of A's blocks aᵀ·a, rank × rank. */
function outerGram(
  parts: readonly Part[],
  last: readonly Float32Array[],
  rank: number,
  kernels: Kernels,
): Float64Array {
  const sum = new Float64Array(rank * rank);
  parts.forEach(({ kronecker, rows, weight }, index) => {
    const a = last[index]!;
    const one = contracted({ ...kronecker, columns: rank }, rank, a, a, rows, kernels);
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * one[i]!;
  });
  return sum;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Cholesky factor of the mean of the columns × columns blocks of all parts' G, each scaled to a mean diagonal of 1. */
function rootOfMean(parts: readonly Part[], kernels: Kernels): Float64Array {
  const { columns } = parts[0]!.kronecker;
  const mean = new Float32Array(columns * columns);
  for (const { kronecker, metric } of parts) {
    const { blocks, inner } = kronecker;
    const { n, gram, diagonal } = metric;
    const unit = diagonal.reduce((sum, one) => sum + one, 0) / n;
    const factor = 1 / (unit * blocks * inner * parts.length);
    for (let block = 0; block < blocks; block++) {
      for (let q = 0; q < inner; q++) {
        for (let i = 0; i < columns; i++) {
          const row = (block * columns + i) * inner + q;
          mean[i * columns + i]! += factor * diagonal[row]!;
          if (!gram || columns > DENSE_COLUMNS) continue;
          for (let j = 0; j < columns; j++) {
            if (j !== i)
              mean[i * columns + j]! += factor * gram[row * n + (block * columns + j) * inner + q]!;
          }
        }
      }
    }
  }
  return jitteredCholesky(symmetric(mean, columns), columns, kernels);
}

/** The right singular vectors of the unfolded weights, plain and whitened by the mean block of G. */
function unfoldedStarts(parts: readonly Part[], kernels: Kernels): (rank: number) => Float32Array[] {
  const { columns } = parts[0]!.kronecker;
  const plain = kernels.eigen(unfoldedGram(parts, kernels, false), columns).vectors;
  const root = rootOfMean(parts, kernels);
  const l = Float32Array.from(root);
  const energy = Float32Array.from(unfoldedGram(parts, kernels, true));
  const right = kernels.matmul(energy, l, columns, columns, columns);
  const seen = kernels.matmul(transposed(l, columns, columns), right, columns, columns, columns);
  const whitened = kernels.eigen(symmetric(seen, columns), columns).vectors;
  return (rank) => [
    transposed(firstColumns(plain, columns, columns, rank), columns, rank),
    unwhitened(firstColumns(whitened, columns, columns, rank), columns, rank, root, kernels),
  ];
}

/** Σ over parts, rows, blocks and inner positions of w·wᵀ; `byBlock` weights each block by its inputs' mean energy. */
function unfoldedGram(parts: readonly Part[], kernels: Kernels, byBlock: boolean): Float64Array {
  const { columns } = parts[0]!.kronecker;
  const sum = new Float64Array(columns * columns);
  for (const { w, rows, kronecker, metric, weight } of parts) {
    const { blocks, inner } = kronecker;
    const each = columns * inner;
    const strength = Float32Array.from({ length: blocks }, (_, block) => {
      if (!byBlock) return 1;
      const own = metric.diagonal.subarray(block * each, (block + 1) * each);
      return own.reduce((total, one) => total + one, 0) / each;
    });
    const scaled = w.map((one, i) => one * strength[Math.floor(i / each) % blocks]!);
    const one = contracted(kronecker, columns, w, scaled, rows, kernels);
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * one[i]!;
  }
  return symmetric(Float32Array.from(sum), columns);
}

/** Rows made orthonormal in their order (modified Gram–Schmidt, twice); one that depends on others becomes zero. */
function orthonormal(s: Float32Array, rank: number): Float32Array {
  const columns = s.length / rank;
  const rows = Array.from({ length: rank }, (_, i) =>
    Float64Array.from(s.subarray(i * columns, (i + 1) * columns)),
  );
  rows.forEach((row, i) => {
    const before = Math.sqrt(dot(row, row));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of rows.slice(0, i)) {
        const along = dot(row, other);
        for (let c = 0; c < columns; c++) row[c]! -= along * other[c]!;
      }
    }
    const length = Math.sqrt(dot(row, row));
    const factor = length > 1e-7 * before ? 1 / length : 0;
    for (let c = 0; c < columns; c++) row[c]! *= factor;
  });
  const result = new Float32Array(s.length);
  rows.forEach((row, i) => {
    result.set(row, i * columns);
  });
  return result;
}
