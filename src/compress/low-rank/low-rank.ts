import type { Kernels } from "../../kernels/kernels.ts";
import { assertForm } from "../forms/form.ts";
import { type FormLayer, type FormSolution, formError, joined } from "../forms/solution.ts";
import { type ActivationAwareSvd, activationAwareSvd, type LowRank } from "./activation-aware-svd.ts";
import { metricOf, transposed } from "./metric.ts";

/**
 * Low rank of a layer's matrices, each cut by the activation-aware SVD: the least layer error of its rank. The
 * directions of a recurrent layer read one input and share the right factor: they are one matrix, stacked.
 * @throws FormError where the layer has no such form
 */
export function prepareLowRank(
  layer: FormLayer,
  kernels: Kernels,
  damping?: number,
): { at(rank: number): FormSolution } {
  const { target, layout, matrices, moments } = layer;
  assertForm({ kind: "low_rank", rank: 1 }, target);
  const stacked = target.geometry.kind === "recurrent" ? layout.count : 1;
  const rows = layout.rows * stacked;
  const decompositions: ActivationAwareSvd[] = [];
  for (let index = 0; index < layout.count; index += stacked) {
    const w = matrices.subarray(
      index * layout.rows * layout.columns,
      (index + stacked) * layout.rows * layout.columns,
    );
    const metric = metricOf(moments[index] ?? null, layout.columns, damping);
    decompositions.push(activationAwareSvd(w, rows, metric, kernels));
  }
  return {
    at: (rank) =>
      lowRankSolution(
        layer,
        decompositions.map((one) => one.at(rank)),
        kernels,
      ),
  };
}

/** The factors of each matrix (of all directions together, of a recurrent layer) as the chain's weights. */
export function lowRankSolution(
  layer: FormLayer,
  factors: readonly LowRank[],
  kernels: Kernels,
): FormSolution {
  const { target, layout } = layer;
  const { geometry } = target;
  const { columns } = layout;
  const rows = factors[0]!.left.length / factors[0]!.rank;
  // Factors of products lie as their weight does: rows × columns for a left one, its transpose for a right one.
  const product = geometry.kind === "matrix" && !geometry.left;
  const rightTransposed = product || geometry.kind === "recurrent";
  const leftTransposed = product || (geometry.kind === "convolution" && geometry.transposed);
  const right = factors.map(({ right, rank }) =>
    rightTransposed ? transposed(right, rank, columns) : right,
  );
  const left = factors.map(({ left, rank }) => (leftTransposed ? transposed(left, rows, rank) : left));
  const dense = joined(
    factors.map(({ left, right, rank }) => kernels.matmul(left, right, rows, rank, columns)),
  );
  return {
    form: { kind: "low_rank", rank: factors[0]!.rank },
    weights: [
      { role: "right", values: joined(right) },
      { role: "left", values: joined(left) },
    ],
    dense,
    error: formError(layer, dense, kernels),
  };
}
