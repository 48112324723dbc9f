import type { Kernels } from "../../kernels/kernels.ts";
import { columnsBack, columnsIn, momentsIn } from "../column-order.ts";
import { assertForm } from "../forms/form.ts";
import { type FormLayer, type FormSolution, formError, joined, matrixAt } from "../forms/solution.ts";
import { type AlternatingOptions, alternating } from "./alternating.ts";
import { expanded } from "./kronecker.ts";
import { metricOf } from "./metric.ts";

/**
 * A kernel along one axis, then along the others (k×1, then 1×k; Jaderberg et al., BMVC 2014, scheme 2):
 * Ŵ[o,i,p,q] = Σ_s left[o,s,q]·right[s,i,p], by alternating least squares in the layer's metric.
 * @throws FormError where the layer has no such form
 */
export function prepareSpatial(
  layer: FormLayer,
  axis: number,
  kernels: Kernels,
  damping?: number,
): { at(rank: number, options?: Pick<AlternatingOptions, "sweeps">): FormSolution } {
  const { target, layout, matrices, moments } = layer;
  assertForm({ kind: "spatial", axis, rank: 1 }, target);
  const { count, rows, columns } = layout;
  const kernel = target.dims.slice(2);
  const along = kernel[axis]!;
  const across = kernel.reduce((product, dim) => product * dim, 1) / along;
  const kronecker = { blocks: 1, columns: columns / across, inner: across };
  const order = axisFirst(columns, kernel, axis);
  const solvers = Array.from({ length: count }, (_, index) => {
    const w = columnsIn(order, matrixAt(layout, matrices, index), rows);
    const seen = moments[index];
    const metric = metricOf(seen ? momentsIn(order, seen) : null, columns, damping);
    return alternating([{ w, rows, kronecker, metric, weight: 1 }], kernels);
  });
  return {
    at(asked, options) {
      const found = solvers.map((solver) => solver.at(asked, options));
      const { rank } = found[0]!;
      const dense = joined(
        found.map(({ first, last }) =>
          columnsBack(order, expanded(kronecker, first, rank, last[0]!, rows, kernels), rows),
        ),
      );
      return {
        form: { kind: "spatial", axis, rank },
        weights: [
          { role: "right", values: joined(found.map(({ first }) => first)) },
          { role: "left", values: joined(found.map(({ last }) => last[0]!)) },
        ],
        dense,
        error: formError(layer, dense, kernels),
      };
    },
  };
}

/** Where the features lie (channel, kernel…) in the order (channel, kernel along the axis, kernel along the others). */
export function axisFirst(features: number, kernel: readonly number[], axis: number): Int32Array {
  const after = kernel.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const before = kernel.slice(0, axis).reduce((product, dim) => product * dim, 1);
  const along = kernel[axis]!;
  const order = new Int32Array(features);
  let at = 0;
  for (let i = 0; at < features; i++) {
    for (let p = 0; p < along; p++) {
      for (let b = 0; b < before; b++) {
        for (let a = 0; a < after; a++) order[at++] = ((i * before + b) * along + p) * after + a;
      }
    }
  }
  return order;
}
