import type { RegularizerName } from "../kernels/kernels.ts";
import type { Form } from "./forms/form.ts";
import type { PruningSolver } from "./sparsity/request.ts";

/**
 * What is done to one layer: another form, zeros, another storage, in this order. JSON, so that a durable job can store
 * it; it holds everything that fixes the result.
 */
export type Treatment = {
  /** The chain of nodes that takes the layer's place; null where it keeps its own. */
  readonly form: ChainForm | null;
  readonly sparsity: SparsityTreatment | null;
  readonly storage: StorageTreatment | null;
};

/** Every form but the layer itself. */
export type ChainForm = Exclude<Form, { kind: "dense" }>;

/** Forms whose first factor the layers of a stage can share. */
export type BasisForm = Extract<ChainForm, { kind: "kernel_sharing" | "low_rank" }>;

export const UNTOUCHED: Treatment = { form: null, sparsity: null, storage: null };

/** Order of the two convolutions of shared kernels: basis (groups = c_in) then 1×1, or 1×1 then basis (groups = c_out). */
export type SharingForm = "basis_first" | "coefficients_first";

/** N:M patterns: at most N of every M consecutive inputs are other than zero. */
export const N_OF_M = { "2:4": { keep: 2, of: 4 }, "4:8": { keep: 4, of: 8 } } as const;

export type NOfM = keyof typeof N_OF_M;

export type SparsityTreatment = {
  readonly pattern: "unstructured" | "block" | NOfM;
  /** Share of zeros; null where the regulariser's strength decides, and for N:M. */
  readonly ratio: number | null;
  readonly solver: PruningSolver;
  readonly regularizer: RegularizerName | null;
  readonly strength: number | null;
};

export type StorageTreatment =
  | { readonly kind: "half" }
  /** Symmetric integers of `levels` levels (255 for int8, 15 for int4); a scale for every row, or for about `group` columns of it (input-groups.ts). */
  | {
      readonly kind: "integers";
      readonly levels: number;
      readonly group: number | null;
      /** How the file says it: a DequantizeLinear node, or nodes that every runtime folds when it loads the model. */
      readonly decode: "dequantize_linear" | "folded";
    };

export function isUntouched({ form, sparsity, storage }: Treatment): boolean {
  return form === null && sparsity === null && storage === null;
}

/** As the report prints it: methods joined by +; "none" where nothing is done. */
export function methodName({ form, sparsity, storage }: Treatment): string {
  const methods = [
    form === null ? [] : form.kind === "kernel_sharing" ? ["kernel_sharing"] : ["low_rank"],
    sparsity === null ? [] : ["sparsity"],
    storage === null ? [] : ["quantization"],
  ].flat();
  return methods.length === 0 ? "none" : methods.join("+");
}

/** One thing that can be done to a layer, with what it costs and loses. */
export type Candidate = {
  readonly treatment: Treatment;
  /**
   * Bytes of the layer's tensors in the file, with those of the nodes that it needs more than before and an equal part of
   * what all layers share that may.
   */
  readonly bytes: number;
  /** What it may share with other layers, and how many layers may; absent where it shares nothing. */
  readonly shared?: { readonly key: string; readonly bytes: number; readonly sharers: number };
  readonly macs: number | null;
  /** Predicted time of one run in onnxruntime-web, ms; null where the layer's work is unknown. */
  readonly time: number | null;
  /** Layer error tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ) of what is stored, G as other samples can be expected to have it; ‖ΔW‖²/‖W‖² without samples. */
  readonly error: number;
};

/** The candidate chosen for a layer, or why the layer stays as it is. */
export type Decision = {
  readonly layer: string;
  /** Its place among the layer's candidates; 0 is the layer as it is. */
  readonly candidate: number;
  /** Why nothing is done, or a remark on what is; null where there is nothing to say. */
  readonly reason: string | null;
};
