import type { Kernels } from "../../kernels/kernels.ts";
import { assertForm, kernelElements } from "../forms/form.ts";
import { type FormLayer, type FormSolution, formError, joined, matrixAt } from "../forms/solution.ts";
import { activationAwareSvd } from "./activation-aware-svd.ts";
import { type AlternatingOptions, alternating } from "./alternating.ts";
import { expanded } from "./kronecker.ts";
import { firstColumns, metricOf, symmetric, transposed } from "./metric.ts";
import type { Constraint } from "./part.ts";

/**
 * Tucker-2 (Kim et al., ICLR 2016): 1×1 to fewer channels, the k×k core between those, 1×1 to the outputs:
 * Ŵ[o,i,:] = Σ_ts left[o,t]·core[t,s,:]·right[s,i]. Alternates the right factor with the two others together, whose
 * joint optimum for a given right factor is an activation-aware SVD in the metric of the reduced channels.
 * @throws FormError where the layer has no such form
 */
export function prepareTucker(
  layer: FormLayer,
  kernels: Kernels,
  damping?: number,
): {
  /** @param outputRank null keeps all outputs: a chain of two */
  at(
    inputRank: number,
    outputRank: number | null,
    options?: Pick<AlternatingOptions, "sweeps">,
  ): FormSolution;
} {
  const { target, layout, matrices, moments } = layer;
  assertForm({ kind: "tucker", inputRank: 1, outputRank: null }, target);
  const { count, rows, columns } = layout;
  const kernel = kernelElements(target);
  const kronecker = { blocks: 1, columns: columns / kernel, inner: kernel };
  const solvers = Array.from({ length: count }, (_, index) => {
    const w = matrixAt(layout, matrices, index);
    const metric = metricOf(moments[index] ?? null, columns, damping);
    return alternating([{ w, rows, kronecker, metric, weight: 1 }], kernels);
  });
  return {
    at(inputRank, outputRank, options) {
      const constrain: Constraint | undefined =
        outputRank === null || outputRank >= rows
          ? undefined
          : ({ free, seen }) => cut(free, seen, rows, outputRank, kernels);
      const found = solvers.map((solver) => solver.at(inputRank, { ...options, constrain }));
      const { rank } = found[0]!;
      const dense = joined(
        found.map(({ first, last }) => expanded(kronecker, first, rank, last[0]!, rows, kernels)),
      );
      const right = { role: "right", values: joined(found.map(({ first }) => first)) } as const;
      const error = formError(layer, dense, kernels);
      if (outputRank === null) {
        const core = { role: "core", values: joined(found.map(({ last }) => last[0]!)) } as const;
        return {
          form: { kind: "tucker", inputRank: rank, outputRank },
          weights: [right, core],
          dense,
          error,
        };
      }
      // The last factors have that rank already: any metric parts them exactly.
      const parted = found.map(({ last }) =>
        activationAwareSvd(last[0]!, rows, metricOf(null, rank * kernel), kernels).at(outputRank),
      );
      return {
        form: { kind: "tucker", inputRank: rank, outputRank: parted[0]!.rank },
        weights: [
          right,
          { role: "core", values: joined(parted.map((one) => one.right)) },
          { role: "left", values: joined(parted.map((one) => one.left)) },
        ],
        dense,
        error,
      };
    },
  };
}

/** The best A of that rank in the metric H: U·Uᵀ·A with U the first eigenvectors of A·H·Aᵀ; `seen` is A·H. */
function cut(
  a: Float32Array,
  seen: Float32Array,
  rows: number,
  rank: number,
  kernels: Kernels,
): Float32Array {
  const features = a.length / rows;
  const outputs = symmetric(kernels.matmulTransposed(a, seen, rows, features, rows), rows);
  const u = firstColumns(kernels.eigen(outputs, rows).vectors, rows, rows, rank);
  const core = kernels.matmul(transposed(u, rows, rank), a, rank, rows, features);
  return kernels.matmul(u, core, rows, rank, features);
}
