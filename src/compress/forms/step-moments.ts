import type { Kernels } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";
import type { Kronecker } from "../low-rank/kronecker.ts";
import { transposed } from "../low-rank/metric.ts";
import { innerMoments, reducedMoments } from "../low-rank/reduced-moments.ts";
import { axisFirst, momentsIn } from "../low-rank/spatial.ts";
import type { WeightRole } from "./chain.ts";
import { kernelElements } from "./form.ts";
import type { FormLayer, FormSolution } from "./solution.ts";

/** Moments of what a step's weight multiplies, one a matrix of that weight (layer-matrix.ts); null where unknown. */
export type StepMoments = { readonly [role in WeightRole]?: readonly (InputMoments | null)[] };

/**
 * What each weight of a solution sees when the layer sees its moments, so that factors are pruned and quantised like
 * any weight. Padding aside, a 1×1 step in front sees the layer's input channels, and the steps behind it what it makes
 * of them. A shared basis has none: it multiplies each channel alone.
 */
export function stepMoments(
  layer: FormLayer,
  { form, weights }: FormSolution,
  kernels: Kernels,
): StepMoments {
  const { target, layout, moments } = layer;
  const { count, columns } = layout;
  const kernel = kernelElements(target);
  const valuesOf = (role: WeightRole) => weights.find((one) => one.role === role)!.values;
  /** Part `index` of a weight that has one for each matrix. */
  const partOf = (role: WeightRole, index: number) => {
    const values = valuesOf(role);
    const size = values.length / count;
    return values.subarray(index * size, (index + 1) * size);
  };
  const seen = (change: (one: InputMoments, index: number) => InputMoments) =>
    moments.map((one, index) => one && change(one, index));
  const behind = (one: InputMoments, kronecker: Kronecker, first: Float32Array, rank: number) =>
    reducedMoments(one, kronecker, first, rank, kernels);
  switch (form.kind) {
    case "dense":
      return { weight: moments };
    case "low_rank": {
      const { geometry } = target;
      const whole = { blocks: 1, columns, inner: 1 };
      const { rank } = form;
      if (geometry.kind === "recurrent") {
        const right = transposed(valuesOf("right"), columns, rank);
        return { right: moments.slice(0, 1), left: seen((one) => behind(one, whole, right, rank)) };
      }
      const lies = geometry.kind === "matrix" && !geometry.left;
      const rightOf = (index: number) =>
        lies ? transposed(partOf("right", index), columns, rank) : partOf("right", index);
      return { right: moments, left: seen((one, index) => behind(one, whole, rightOf(index), rank)) };
    }
    case "spatial": {
      const inner = kernel / target.dims[2 + form.axis]!;
      const kronecker = { blocks: 1, columns: columns / inner, inner };
      const order = axisFirst(columns, target.dims.slice(2), form.axis);
      return {
        right: seen((one) => innerMoments(momentsIn(order, one), inner)),
        left: seen((one, i) => behind(momentsIn(order, one), kronecker, partOf("right", i), form.rank)),
      };
    }
    case "tucker": {
      const { inputRank, outputRank } = form;
      const kronecker = { blocks: 1, columns: columns / kernel, inner: kernel };
      const right = seen((one) => innerMoments(one, kernel));
      const core = seen((one, i) => behind(one, kronecker, partOf("right", i), inputRank));
      if (outputRank === null) return { right, core };
      const whole = { blocks: 1, columns: inputRank * kernel, inner: 1 };
      return {
        right,
        core,
        left: core.map((one, i) => one && behind(one, whole, partOf("core", i), outputRank)),
      };
    }
    case "kernel_sharing": {
      if (form.order === "coefficients_first")
        return { coefficients: seen((one) => innerMoments(one, kernel)) };
      const kronecker = { blocks: columns / kernel, columns: kernel, inner: 1 };
      return { coefficients: seen((one) => behind(one, kronecker, valuesOf("basis"), form.bases)) };
    }
  }
}
