import type { Kernels } from "../../kernels/kernels.ts";
import type { Alternating, Bilinear } from "../low-rank/alternating.ts";
import type { Part } from "../low-rank/part.ts";
import { reducedMoments } from "../low-rank/reduced-moments.ts";
import { LayerHessian } from "../sparsity/hessian.ts";
import { pruneWith } from "../sparsity/prune-matrix.ts";
import { refitOnSupport } from "../sparsity/refit.ts";
import type { PruningSolver } from "../sparsity/request.ts";

/** How coefficients are made sparse. JSON. */
export interface CoefficientSparsity {
  /** Share of the coefficients that become zero, 0 … 1. */
  readonly ratio: number;
  readonly solver: Exclude<PruningSolver, "proximal">;
}

const SWEEPS = 2;

/**
 * Sparse coefficients (PENNI, ICML 2020, §3.2) for the layer error: since C is the layer's matrix over the basis's maps,
 * any pruning solver chooses the zeros by those maps' moments; then basis and coefficients alternate with the zeros
 * held. The parts' metrics are damped already.
 */
export function sparseCoefficients(
  parts: readonly Part[],
  solver: Alternating,
  full: Bilinear,
  { ratio, solver: method }: CoefficientSparsity,
  kernels: Kernels,
): Bilinear {
  const zeros = parts.map(({ rows, kronecker, metric }, index) => {
    const moments = reducedMoments(
      { ...metric, count: 1, mean: new Float32Array(metric.n) },
      kronecker,
      full.first,
      full.rank,
      kernels,
    );
    const c = full.last[index]!;
    const pattern = { kind: "unstructured", zeros: Math.round(ratio * c.length) } as const;
    const hessian = new LayerHessian(moments, moments.n, kernels, 1, 0);
    const pruned = pruneWith(c, rows, hessian, { pattern, solver: method, refit: false });
    return Uint8Array.from(pruned, (one) => (one === 0 ? 1 : 0));
  });
  return solver.at(full.rank, {
    sweeps: SWEEPS,
    start: full.first,
    constrain: ({ part, free, moments }) =>
      refitOnSupport(
        free,
        zeros[part]!,
        parts[part]!.rows,
        new LayerHessian(moments, moments.n, kernels, 1, 0),
      ),
  });
}

/** Without the basis kernels that no coefficient of any part uses; one is left where none is used. */
export function withoutDeadBases({ rank, first, last, history }: Bilinear): Bilinear {
  const used = Array.from({ length: rank }, (_, b) => b).filter((b) =>
    last.some((c) => c.some((one, i) => one !== 0 && i % rank === b)),
  );
  if (used.length === rank) return { rank, first, last, history };
  const kept = used.length > 0 ? used : [0];
  const size = first.length / rank;
  const columnsOf = (x: Float32Array) =>
    Float32Array.from({ length: (x.length / rank) * kept.length }, (_, i) => {
      const at = Math.floor(i / kept.length);
      return x[at * rank + kept[i % kept.length]!]!;
    });
  const rows = kept.map((b) => first.subarray(b * size, (b + 1) * size));
  const basis = new Float32Array(kept.length * size);
  rows.forEach((row, i) => {
    basis.set(row, i * size);
  });
  return { rank: kept.length, first: basis, last: last.map(columnsOf), history };
}
