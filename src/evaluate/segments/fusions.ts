import type { Node } from "../../onnx/model.ts";

/**
 * Whether ONNX Runtime may compute two nodes, one of which reads the other's output, as one: a convolution with what
 * follows it, a MatMul with its bias, the parts of a GELU or a LayerNorm. Fused nodes round differently than the same
 * nodes alone, so a cut between them would change last bits.
 *
 * The rules name pairs that are never fused, or whose fusion moves data only (optimizer/ of ONNX Runtime 1.30); every
 * other pair is taken for one that may be.
 */
export function mayFuse(producer: Node, consumer: Node, { isConstant, isScalar }: ConstantInputs): boolean {
  if (consumer.opType === "MatMul" && ["Mul", "Div"].includes(producer.opType)) {
    return producer.inputs.some(isScalar);
  }
  if (producer.opType === "QuantizeLinear") return consumer.opType !== "DequantizeLinear";
  if (LEADS.has(producer.opType)) return true;
  if (ENDS.has(producer.opType) || STARTS.has(consumer.opType)) return false;
  // The sum that a residual block ends with, on its way to the next one's.
  const isResidual = producer.opType === "Add" && !producer.inputs.some(isConstant);
  return !(isResidual && consumer.opType === "Add");
}

export interface ConstantInputs {
  /** Whether a value is computed of nothing that is fed. */
  isConstant(name: string): boolean;
  /** Whether it is also a single number. */
  isScalar(name: string): boolean;
}

/** Nodes that are fused into what reads them. */
const LEADS: ReadonlySet<string> = new Set([
  "Cast",
  "DequantizeLinear",
  "DynamicQuantizeLinear",
  "Identity",
  "Pad",
  "Transpose",
]);

/** Nodes after which nothing is fused. */
const ENDS: ReadonlySet<string> = new Set([
  "AveragePool",
  "Clip",
  "Concat",
  "Flatten",
  "GRU",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "LSTM",
  "LayerNormalization",
  "LeakyRelu",
  "MaxPool",
  "PRelu",
  "RNN",
  "Relu",
  "Resize",
  "Split",
  "Upsample",
]);

/** Nodes before which nothing is fused. */
const STARTS: ReadonlySet<string> = new Set([
  "AveragePool",
  "Concat",
  "Conv",
  "ConvTranspose",
  "Flatten",
  "GRU",
  "Gemm",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "LSTM",
  "MatMul",
  "MaxPool",
  "RNN",
  "Resize",
  "Shape",
  "Split",
  "Upsample",
]);
