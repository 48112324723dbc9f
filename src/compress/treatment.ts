import type { NOfM } from "./sparsity/prune.ts";

/**
 * What is done to one layer. JSON, so that a durable job can store it; each method adds one kind, with everything
 * that fixes its result.
 */
export type Treatment =
  | { readonly method: "none" }
  /** Exactly `zeros` of the smallest weights become zero. */
  | { readonly method: "sparsity"; readonly pattern: "unstructured"; readonly zeros: number }
  | { readonly method: "sparsity"; readonly pattern: NOfM }
  /** PENNI: `bases` basis kernels; the coefficients may be sparse in turn. */
  | {
      readonly method: "kernel_sharing";
      readonly bases: number;
      readonly form: SharingForm;
      readonly sparsity: SparsityTreatment | null;
    };

export type SparsityTreatment = Extract<Treatment, { method: "sparsity" }>;

/**
 * Order of the two convolutions: the basis first (groups = c_in, then 1×1), or the coefficients first (1×1, then
 * groups = c_out).
 */
export type SharingForm = "basis_first" | "coefficients_first";

/** As the report prints it: methods joined by +. */
export function methodName(treatment: Treatment): string {
  if (treatment.method !== "kernel_sharing") return treatment.method;
  return treatment.sparsity ? "kernel_sharing+sparsity" : "kernel_sharing";
}

/** One thing that could be done to a layer, with what it would cost and lose. */
export interface Candidate {
  readonly treatment: Treatment;
  /** Bytes of the layer's weight tensors in the file; an estimate within a few percent. */
  readonly bytes: number;
  readonly macs: number | null;
  /** Predicted time of one run in onnxruntime-web, ms; null where the layer's work is unknown. */
  readonly time: number | null;
  /** ‖Ŵ − W‖² / ‖W‖² before the rounding of the file's type. */
  readonly error: number;
}

/** The candidate chosen for a layer, or why the layer stays as it is. */
export type Decision = {
  readonly layer: string;
  readonly treatment: Treatment;
  /** Why nothing is done, or a remark on what is; null where there is nothing to say. */
  readonly reason: string | null;
};
