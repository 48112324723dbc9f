import type { SparseTensor, Tensor } from "../onnx/model.ts";
import { sparseTensorOf } from "../onnx/sparse.ts";
import { tensorByteLength, tensorOf } from "../onnx/tensor.ts";
import { convolutionMacs, formWork } from "./kernel-sharing/cost.ts";
import { sharedKernels } from "./kernel-sharing/decompose.ts";
import { basisWeight, coefficientWeight, reconstructed, type ShapedWeight } from "./kernel-sharing/forms.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { sparsify } from "./sparsity/apply.ts";
import { SPARSE_OVERHEAD } from "./sparsity/storage.ts";
import type { Decision, Treatment } from "./treatment.ts";
import { countNonzero, type LayerWeight, relativeError, rounded, storedAs } from "./weight.ts";

/** A new tensor for the model, by the part it plays; its name is given when the model is assembled. */
export interface ResultTensor {
  readonly role: "weight" | "basis" | "coefficients";
  readonly tensor: Tensor | SparseTensor;
}

/** Figures of a layer before and after, counted on the tensors as they are stored. */
export interface LayerStats {
  readonly bytes: Pair;
  readonly parameters: Pair;
  readonly nonzero: Pair;
  readonly macs: { readonly original: number | null; readonly compressed: number | null };
  /** ‖Ŵ − W‖² / ‖W‖². */
  readonly weightError: number;
}

interface Pair {
  readonly original: number;
  readonly compressed: number;
}

/** What a treatment made of one layer. */
export interface LayerResult {
  readonly layer: string;
  readonly op: string;
  readonly treatment: Treatment;
  readonly reason: string | null;
  readonly stats: LayerStats;
  readonly tensors: readonly ResultTensor[];
}

/**
 * Carries out a decision on a layer's weight. Pure: the same weight and decision give the same bytes.
 *
 * A tensor is stored sparse where that takes fewer bytes, dense with its zeros otherwise.
 */
export function compressLayer(facts: LayerFacts, weight: LayerWeight, decision: Decision): LayerResult {
  const { treatment } = decision;
  if (treatment.method === "kernel_sharing") return shareKernels(facts, weight, decision, treatment);
  const values =
    treatment.method === "none"
      ? weight.values
      : sparsify(weight.values, weight.dims, facts.inputAxis, treatment);
  const tensor =
    treatment.method === "none" ? null : stored(weight.dataType, { dims: weight.dims, values }, true);
  return {
    layer: facts.name,
    op: facts.op,
    treatment,
    reason: decision.reason,
    stats: {
      bytes: { original: facts.bytes, compressed: tensor ? payloadBytes(tensor) : facts.bytes },
      parameters: { original: weight.values.length, compressed: values.length },
      nonzero: { original: countNonzero(weight.values), compressed: countNonzero(values) },
      macs: { original: facts.macs, compressed: facts.macs },
      weightError: relativeError(weight.values, values),
    },
    tensors: tensor ? [{ role: "weight", tensor }] : [],
  };
}

function shareKernels(
  facts: LayerFacts,
  weight: LayerWeight,
  decision: Decision,
  treatment: Extract<Treatment, { method: "kernel_sharing" }>,
): LayerResult {
  if (facts.sharing.reason !== null) {
    throw new RangeError(`layer ${facts.name} has no kernels to share: ${facts.sharing.reason}`);
  }
  const { work, known } = facts.sharing;
  const { bases, form, sparsity } = treatment;
  const shared = sharedKernels(weight.values, work.kernel);
  const kernel = facts.dims.slice(2);
  const b = basisWeight(shared, work, kernel, bases, form);
  const c = coefficientWeight(weight.values, shared, work, bases, form);
  const kept = sparsity ? sparsify(c.values, c.dims, 1, sparsity) : c.values;
  const ones = kernel.map(() => 1);
  const basis = stored(weight.dataType, b, false);
  const coefficients = stored(
    weight.dataType,
    { dims: [...c.dims, ...ones], values: kept },
    sparsity !== null,
  );
  const lastB = rounded(weight.dataType, b.values);
  const lastC = rounded(weight.dataType, kept);
  const parts = formWork(work, bases, form);
  return {
    layer: facts.name,
    op: facts.op,
    treatment,
    reason: decision.reason,
    stats: {
      bytes: { original: facts.bytes, compressed: payloadBytes(basis) + payloadBytes(coefficients) },
      parameters: { original: weight.values.length, compressed: b.values.length + kept.length },
      nonzero: {
        original: countNonzero(weight.values),
        compressed: countNonzero(lastB) + countNonzero(lastC),
      },
      macs: {
        original: facts.macs,
        compressed: known ? parts.reduce((sum, part) => sum + convolutionMacs(part), 0) : null,
      },
      weightError: relativeError(weight.values, reconstructed(lastB, lastC, work, bases, form)),
    },
    tensors: [
      { role: "basis", tensor: basis },
      { role: "coefficients", tensor: coefficients },
    ],
  };
}

/** The tensor without a name, sparse if that may be and takes fewer bytes. */
function stored(dataType: number, shaped: ShapedWeight, maySparse: boolean): Tensor | SparseTensor {
  const value = { dataType, dims: shaped.dims, data: storedAs(dataType, shaped.values) };
  const dense = tensorOf("", value);
  if (!maySparse) return dense;
  const sparse = sparseTensorOf("", value);
  return payloadBytes(sparse) < payloadBytes(dense) ? sparse : dense;
}

/** Bytes of the tensor's numbers in the file, with what a sparse tensor needs besides. */
function payloadBytes(tensor: Tensor | SparseTensor): number {
  return "values" in tensor
    ? tensorByteLength(tensor.values) + tensorByteLength(tensor.indices) + SPARSE_OVERHEAD
    : tensorByteLength(tensor);
}
