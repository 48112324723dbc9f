import type { Kernels } from "../../kernels/kernels.ts";
import { firstFactor } from "./first-factor.ts";
import { lastRenewed } from "./last-factor.ts";
import { dot, timesMetric } from "./metric.ts";
import type { Constraint, Part, PreparedPart } from "./part.ts";
import { rootOfMean, unfoldedStarts } from "./starts.ts";

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
  /** At most so many sweeps; one that gains less than a hundredth is the last. */
  readonly sweeps?: number;
  /** Begins from this first factor, orthonormalised here, and not from the solver's own. */
  readonly start?: Float32Array;
  /** What the last factors must be like: a rank, a support. */
  readonly constrain?: Constraint;
}

export interface Alternating {
  at(rank: number, options?: AlternatingOptions): Bilinear;
}

const SWEEPS = 4;
const LEAST_GAIN = 0.01;
/** Multiply-accumulates that the sweeps of one answer may take, about; one is always made. */
const SWEEP_WORK = 2e10;

/**
 * Alternating least squares for Σ_l weight_l·tr((A_l·T(S) − W_l)·G_l·(A_l·T(S) − W_l)ᵀ), which is linear in the A_l
 * for given S and in S for given A_l.
 *
 * Starts from the better of two: the SVD of the unfolded weights, which is the data-free answer, and the same SVD
 * whitened by G's mean block. A sweep that would raise the damped error is not taken, so that the
 * result's is at most that of either start.
 *
 * @param starts further first factors to begin from, orthonormalised here; in place of the two where given
 */
export function alternating(
  parts: readonly Part[],
  kernels: Kernels,
  starts: (rank: number) => Float32Array[] = unfoldedStarts(parts, kernels),
): Alternating {
  const prepared = parts.map((part): PreparedPart => {
    const seen = timesMetric(part.w, part.rows, part.metric, kernels);
    return { ...part, seen, total: dot(seen, part.w) };
  });
  const total = prepared.reduce((sum, part) => sum + part.weight * part.total, 0);
  const columns = parts[0]!.kronecker.columns;
  const renewFirst = firstFactor(prepared, rootOfMean(parts, kernels), kernels);
  const work = parts.reduce((sum, { rows, metric: { n, gram } }) => sum + 5 * rows * n * (gram ? n : 1), 1);
  const most = Math.max(1, Math.floor(SWEEP_WORK / work));
  return {
    at(asked, { sweeps = SWEEPS, start, constrain = unconstrained } = {}) {
      const rank = Math.min(asked, columns);
      const pointAt = (s: Float32Array) =>
        lastRenewed(prepared, orthonormal(s, rank), rank, constrain, kernels);
      let best = (start ? [start] : starts(rank))
        .map(pointAt)
        .reduce((one, other) => (other.lost < one.lost ? other : one));
      const history = [share(best.lost, total)];
      for (let sweep = 0; sweep < Math.min(sweeps, most) && best.lost > 0; sweep++) {
        const next = pointAt(renewFirst(best, rank));
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

/** Rows made orthonormal in their order (modified Gram–Schmidt, twice); one that depends on others becomes zero. */
function orthonormal(s: Float32Array, rank: number): Float32Array {
  const columns = s.length / rank;
  const rows = Array.from(
    { length: rank },
    (_, i) => new Float64Array(s.subarray(i * columns, (i + 1) * columns)),
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
