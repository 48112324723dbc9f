import type { Kernels } from "../../kernels/kernels.ts";
import { type InputMoments, quadratic } from "../input-moments.ts";
import type { MatrixLayout } from "../layer-matrix.ts";
import { dot } from "../low-rank/metric.ts";
import type { WeightRole } from "./chain.ts";
import type { Form, FormTarget } from "./form.ts";

/** A layer as the solvers see it. */
export interface FormLayer {
  readonly target: FormTarget;
  readonly layout: MatrixLayout;
  /** count × rows × columns, finite. */
  readonly matrices: Float32Array;
  /** One a matrix; null where nothing was seen. */
  readonly moments: readonly (InputMoments | null)[];
}

/** A weight of a chain's step as it is stored (chain.ts: storedDims). */
export interface FormWeight {
  readonly role: WeightRole;
  readonly values: Float32Array;
}

/** What a solver makes of a layer at one strength. */
export interface FormSolution {
  /** With the ranks that are really used: never more than the weight has. */
  readonly form: Form;
  /** In the order of the chain's steps. */
  readonly weights: readonly FormWeight[];
  /** What the chain computes as one weight, in the layout of the layer's matrices. */
  readonly dense: Float32Array;
  /** The layer error tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ) over all matrices, without damping. */
  readonly error: number;
}

/** A solution whose first factor other layers share. */
export interface SharedSolution extends FormSolution {
  /** That factor, rank × columns: the same for all of them. */
  readonly basis: Float32Array;
}

/** Matrix `index` of a stack of them, as a view. */
export function matrixAt(
  { rows, columns }: MatrixLayout,
  matrices: Float32Array,
  index: number,
): Float32Array {
  return matrices.subarray(index * rows * columns, (index + 1) * rows * columns);
}

/** tr(W·G·Wᵀ) of a stack of matrices, through the kernels. */
export function outputEnergy(
  { layout, moments }: Pick<FormLayer, "layout" | "moments">,
  stack: Float32Array,
  kernels: Kernels,
): number {
  const { count, rows, columns } = layout;
  let energy = 0;
  for (let index = 0; index < count; index++) {
    const seen = moments[index] ?? null;
    const w = matrixAt(layout, stack, index);
    energy += seen?.gram
      ? Math.max(0, dot(kernels.matmul(w, seen.gram, rows, columns, columns), w))
      : quadratic(w, rows, columns, seen);
  }
  return energy;
}

/**
 * input-moments' layerError over all of a layer's matrices together, through the kernels.
 * @param total the original's energy, where it is known already
 */
export function formError(
  layer: Pick<FormLayer, "layout" | "matrices" | "moments">,
  dense: Float32Array,
  kernels: Kernels,
  total = outputEnergy(layer, layer.matrices, kernels),
): number {
  const change = new Float32Array(dense.length);
  for (let i = 0; i < change.length; i++) change[i] = dense[i]! - layer.matrices[i]!;
  const lost = outputEnergy(layer, change, kernels);
  return total > 0 ? lost / total : lost > 0 ? 1 : 0;
}

/** The arrays, one after the other; of one array that array itself. */
export function joined(arrays: readonly Float32Array[]): Float32Array {
  if (arrays.length === 1) return arrays[0]!;
  const to = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    to.set(array, at);
    at += array.length;
  }
  return to;
}
