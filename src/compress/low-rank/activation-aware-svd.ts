import type { Kernels } from "../../kernels/kernels.ts";
import { tailEnergy } from "../../kernels/reference/svd.ts";
import { firstColumns, jitteredCholesky, type Metric, symmetric, timesMetric, transposed } from "./metric.ts";

/** W ≈ left·right: left m × rank, right rank × n, row major. */
export interface LowRank {
  readonly rank: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** The decomposition of one matrix, to be cut at any rank. */
export interface ActivationAwareSvd {
  /** Entry r: the share of tr(W·G·Wᵀ) that rank r loses, r = 0 … min(m, n); the least that any matrix of that rank can. */
  readonly tail: Float64Array;
  /** @param rank 1 …; more than min(m, n) gives that many */
  at(rank: number): LowRank;
}

/**
 * The W·L that G = L·Lᵀ makes comparable is cut at its largest singular values and L undone (SVD-LLM, ICLR 2025, §3.1):
 * by Eckart and Young the least layer error of the rank.
 *
 * Through the smaller side's symmetric eigenproblem: with U the eigenvectors of W·G·Wᵀ the optimum is U_r·U_rᵀ·W,
 * which needs no L at all; where W has more rows than columns, V of Lᵀ·Wᵀ·W·L gives W·L·V_r·V_rᵀ·L⁻¹.
 *
 * @param w m × n, finite
 */
export function activationAwareSvd(
  w: Float32Array,
  m: number,
  metric: Metric,
  kernels: Kernels,
): ActivationAwareSvd {
  return m <= metric.n ? byRows(w, m, metric, kernels) : byColumns(w, m, metric, kernels);
}

function byRows(w: Float32Array, m: number, metric: Metric, kernels: Kernels): ActivationAwareSvd {
  const { n } = metric;
  const seen = kernels.matmulTransposed(timesMetric(w, m, metric, kernels), w, m, n, m);
  const { values, vectors } = kernels.eigen(symmetric(seen, m), m);
  return {
    tail: tailOf(values),
    at: (asked) => {
      const rank = Math.min(asked, m);
      const left = firstColumns(vectors, m, m, rank);
      return { rank, left, right: kernels.matmul(transposed(left, m, rank), w, rank, m, n) };
    },
  };
}

function byColumns(w: Float32Array, m: number, metric: Metric, kernels: Kernels): ActivationAwareSvd {
  const { n } = metric;
  const l = rootOf(metric, kernels);
  const whitened = kernels.matmul(w, new Float32Array(l), m, n, n);
  const seen = new Float32Array(n * n);
  kernels.addGram(seen, whitened, m, n);
  const { values, vectors } = kernels.eigen(symmetric(seen, n), n);
  return {
    tail: tailOf(values),
    at: (asked) => {
      const rank = Math.min(asked, n);
      const v = firstColumns(vectors, n, n, rank);
      return {
        rank,
        left: kernels.matmul(whitened, v, m, n, rank),
        right: unwhitened(v, n, rank, l, kernels),
      };
    },
  };
}

function tailOf(values: Float64Array): Float64Array {
  return tailEnergy(values.map((value) => Math.sqrt(Math.max(value, 0))));
}

/** L, lower, with G = L·Lᵀ. */
export function rootOf({ n, gram, diagonal }: Metric, kernels: Kernels): Float64Array {
  if (gram) return jitteredCholesky(new Float64Array(gram), n, kernels);
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) l[i * n + i] = Math.sqrt(diagonal[i]!);
  return l;
}

/** Vᵀ·L⁻¹, count × n, of V n × count: as (L·Lᵀ)⁻¹·L·V, transposed. */
export function unwhitened(
  v: Float32Array,
  n: number,
  count: number,
  l: Float64Array,
  kernels: Kernels,
): Float32Array {
  const lv = kernels.matmul(new Float32Array(l), v, n, n, count);
  const solved = kernels.solveCholesky(l, new Float64Array(lv), n, count);
  return transposed(new Float32Array(solved), n, count);
}
