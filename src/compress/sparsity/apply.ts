import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { SparsityTreatment } from "../treatment.ts";
import { pruneNOfM, pruneSmallest } from "./prune.ts";

/** The weight with the treatment's zeros; `axis` is the input dimension, along which N:M patterns run. */
export function sparsify(
  values: FloatArray,
  dims: readonly number[],
  axis: number,
  treatment: SparsityTreatment,
): FloatArray {
  return treatment.pattern === "unstructured"
    ? pruneSmallest(values, treatment.zeros)
    : pruneNOfM(values, dims, axis, treatment.pattern);
}
