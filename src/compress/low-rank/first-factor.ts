import type { Kernels } from "../../kernels/kernels.ts";
import { contracted, expanded, type Kronecker } from "./kronecker.ts";
import { dot, jitteredCholesky, timesMetric, transposed } from "./metric.ts";
import type { Part, Point, PreparedPart } from "./part.ts";

/** Renews S for the A_l at hand. */
export type FirstFactor = (point: Point, rank: number) => Float32Array;

/** Steps of conjugate gradients; preconditioned, three or four come within a percent of the optimum. */
const CONJUGATE_STEPS = 4;
/** Elements of S up to which its normal equations are formed and solved. */
const DIRECT_UNKNOWNS = 300;

/**
 * The S of least error for given A_l, from the S at hand: by its normal equations where it is small and every G is
 * known, by a few steps of conjugate gradients, preconditioned with the Kronecker product of AᵀA's and G's mean blocks,
 * where it is not.
 */
export function firstFactor(
  parts: readonly PreparedPart[],
  mean: Float64Array,
  kernels: Kernels,
): FirstFactor {
  const { columns } = parts[0]!.kronecker;
  const known = parts.every(({ metric }) => metric.gram !== null);
  let pairs: readonly Float32Array[] | null = null;
  return (point, rank) => {
    const descent = gradient(parts, point.last, rank, (_, index) => point.errors[index]!, kernels).map(
      (one) => -one,
    );
    if (!known || rank * columns > DIRECT_UNKNOWNS)
      return conjugate(parts, point, descent, rank, mean, kernels);
    pairs ??= parts.map(({ kronecker, metric }) => pairsLast(kronecker, columns, metric.gram!));
    const normal = normalMatrix(parts, pairs, point.last, rank, kernels);
    const size = rank * columns;
    const step = kernels.solveCholesky(jitteredCholesky(normal, size, kernels), descent, size, 1);
    return point.first.map((one, i) => one + step[i]!);
  };
}

/** Σ of the parts' contractions of A_l with a matrix of W's shape. */
function gradient(
  parts: readonly PreparedPart[],
  last: readonly Float32Array[],
  rank: number,
  of: (part: PreparedPart, index: number) => Float32Array,
  kernels: Kernels,
): Float64Array {
  const sum = new Float64Array(rank * parts[0]!.kronecker.columns);
  parts.forEach((part, index) => {
    const x = contracted(part.kronecker, rank, last[index]!, of(part, index), part.rows, kernels);
    for (let i = 0; i < sum.length; i++) sum[i]! += part.weight * x[i]!;
  });
  return sum;
}

/**
 * N[(s,j),(s',j')] = Σ over pairs (p, p') of block and inner position of (AᵀA)[(p,s),(p',s')]·G[(p,j),(p',j')], one
 * product of matrices a part.
 *
 * @param pairs each part's G as pairsLast gives it
 */
function normalMatrix(
  parts: readonly PreparedPart[],
  pairs: readonly Float32Array[],
  last: readonly Float32Array[],
  rank: number,
  kernels: Kernels,
): Float64Array {
  const { columns } = parts[0]!.kronecker;
  const size = rank * columns;
  const normal = new Float64Array(size * size);
  parts.forEach(({ kronecker, rows, weight }, index) => {
    const positions = kronecker.blocks * kronecker.inner;
    const features = positions * rank;
    const own = new Float32Array(features * features);
    kernels.addGram(own, last[index]!, rows, features);
    const left = pairsLast(kronecker, rank, own);
    const product = kernels.matmulTransposed(left, pairs[index]!, rank ** 2, positions ** 2, columns ** 2);
    for (let s = 0; s < rank; s++) {
      for (let t = 0; t < rank; t++) {
        for (let i = 0; i < columns; i++) {
          const from = ((s * rank + t) * columns + i) * columns;
          const to = (s * columns + i) * size + t * columns;
          for (let j = 0; j < columns; j++) normal[to + j]! += weight * product[from + j]!;
        }
      }
    }
  });
  return normal;
}

/** M[(block, a, q), (block', a', q')] as (a, a') × (block, q, block', q'). */
function pairsLast({ blocks, inner }: Kronecker, count: number, m: Float32Array): Float32Array {
  const n = blocks * count * inner;
  const positions = blocks * inner;
  const to = new Float32Array(m.length);
  for (let row = 0; row < n; row++) {
    const [block, a, q] = [Math.floor(row / (count * inner)), Math.floor(row / inner) % count, row % inner];
    const place = (block * inner + q) * positions;
    for (let other = 0; other < blocks; other++) {
      for (let b = 0; b < count; b++) {
        const from = row * n + (other * count + b) * inner;
        const at = (a * count + b) * positions * positions + place + other * inner;
        for (let r = 0; r < inner; r++) to[at + r] = m[from + r]!;
      }
    }
  }
  return to;
}

function conjugate(
  parts: readonly PreparedPart[],
  { first, last }: Point,
  descent: Float64Array,
  rank: number,
  mean: Float64Array,
  kernels: Kernels,
): Float32Array {
  const columns = parts[0]!.kronecker.columns;
  const curvature = (direction: Float64Array) =>
    gradient(
      parts,
      last,
      rank,
      ({ kronecker, rows, metric }, index) => {
        const s = new Float32Array(direction);
        return timesMetric(expanded(kronecker, s, rank, last[index]!, rows, kernels), rows, metric, kernels);
      },
      kernels,
    );
  const outer = jitteredCholesky(outerGram(parts, last, rank, kernels), rank, kernels);
  const preconditioned = (r: Float64Array) => {
    const half = kernels.solveCholesky(outer, r, rank, columns);
    return transposed(
      kernels.solveCholesky(mean, transposed(half, rank, columns), columns, rank),
      columns,
      rank,
    );
  };
  const s = new Float64Array(first);
  const residual = descent.slice();
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
  return new Float32Array(s);
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
