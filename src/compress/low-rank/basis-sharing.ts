import type { Kernels } from "../../kernels/kernels.ts";
import { assertForm, FormError } from "../forms/form.ts";
import { type FormLayer, type FormSolution, joined, type SharedSolution } from "../forms/solution.ts";
import { activationAwareSvd } from "./activation-aware-svd.ts";
import { type AlternatingOptions, alternating } from "./alternating.ts";
import { lastFactors } from "./last-factor.ts";
import { lowRankSolution } from "./low-rank.ts";
import { dot, type Metric, metricOf, timesMetric } from "./metric.ts";
import type { Part } from "./part.ts";

/**
 * Basis Sharing (ICLR 2025): the same matrix of several layers as a right factor that all of them share and a left
 * one of each layer. Begins with the SVD of the stacked matrices, plain and whitened by the mean of their G as
 * published, and goes on by alternating least squares with each layer's own G; each counts by the share that it loses.
 *
 * The chains' right weights come out equal: they are to be stored once.
 *
 * @param layers MatMul, Gemm or recurrent layers of equal input features, one matrix each (or its directions)
 * @throws FormError where a layer has no such form or does not fit the others
 */
export function prepareBasisSharing(
  layers: readonly FormLayer[],
  kernels: Kernels,
  damping?: number,
): { at(rank: number, options?: Pick<AlternatingOptions, "sweeps">): SharedSolution[] } {
  const columns = layers[0]!.layout.columns;
  const parts = layers.map((layer) => {
    if (layer.layout.columns !== columns) {
      throw new FormError(FORM, "a basis is shared by equal input features");
    }
    return partOf(layer, damping);
  });
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const weighted = parts.map((part) => ({ ...part, weight: relativeWeight(part, kernels) }));
  const stacked = joined(weighted.map(({ w, weight }) => w.map((one) => one * Math.sqrt(weight))));
  const decompositions = [
    activationAwareSvd(joined(parts.map(({ w }) => w)), rows, metricOf(null, columns), kernels),
    activationAwareSvd(stacked, rows, meanMetric(parts), kernels),
  ];
  const solver = alternating(weighted, kernels, (rank) => decompositions.map((one) => one.at(rank).right));
  return {
    at(asked, options) {
      const { rank, first, last } = solver.at(Math.min(asked, rows), options);
      return layers.map((layer, i) => ({
        ...lowRankSolution(layer, [{ rank, left: last[i]!, right: first }], kernels),
        basis: first,
      }));
    },
  };
}

/** The layer with a right factor that is at hand. */
export function withSharedBasis(
  layer: FormLayer,
  basis: Float32Array,
  kernels: Kernels,
  damping?: number,
): FormSolution {
  const rank = basis.length / layer.layout.columns;
  const [left] = lastFactors([partOf(layer, damping)], basis, rank, kernels);
  return lowRankSolution(layer, [{ rank, left: left!, right: basis }], kernels);
}

const FORM = { kind: "low_rank", rank: 1 } as const;

function partOf({ target, layout, matrices, moments }: FormLayer, damping?: number): Part {
  const { count, rows, columns } = layout;
  assertForm(FORM, target);
  if (target.geometry.kind !== "recurrent" && count !== 1) {
    throw new FormError(FORM, "a basis is shared by single matrices");
  }
  const metric = metricOf(moments[0] ?? null, columns, damping);
  const kronecker = { blocks: 1, columns, inner: 1 };
  return { w: matrices, rows: rows * count, kronecker, metric, weight: 1 };
}

/** 1 / tr(W·G·Wᵀ), so that errors count by the share of their layer; 1 for a layer that gives nothing. */
export function relativeWeight({ w, rows, metric }: Omit<Part, "weight">, kernels: Kernels): number {
  const total = dot(timesMetric(w, rows, metric, kernels), w);
  return total > 0 ? 1 / total : 1;
}

/** The mean of the layers' G; of their diagonals where one has no more. */
function meanMetric(parts: readonly Part[]): Metric {
  const { n } = parts[0]!.metric;
  const mean = (of: (metric: Metric) => Float32Array) => {
    const sum = new Float32Array(of(parts[0]!.metric).length);
    for (const { metric } of parts) {
      const one = of(metric);
      for (let i = 0; i < sum.length; i++) sum[i]! += one[i]! / parts.length;
    }
    return sum;
  };
  const full = parts.every(({ metric }) => metric.gram !== null);
  return { n, gram: full ? mean(({ gram }) => gram!) : null, diagonal: mean(({ diagonal }) => diagonal) };
}
