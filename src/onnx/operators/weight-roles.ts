import type { Node } from "../model.ts";

/** What a constant input is to a node. */
export type WeightRole =
  | "convolution"
  | "convolution_transposed"
  | "matrix"
  | "recurrent_input"
  | "recurrent_state"
  | "embedding";

export interface WeightInput {
  /** Position of the weight among the node's inputs. */
  readonly index: number;
  readonly role: WeightRole;
  /** Stored as integers with scales: listed, but no method takes it. */
  readonly quantized?: true;
  /** Told apart in a layer's name where a node has several weights. */
  readonly suffix?: string;
}

const RECURRENT: readonly WeightInput[] = [
  { index: 1, role: "recurrent_input", suffix: ".W" },
  { index: 2, role: "recurrent_state", suffix: ".R" },
];

/** Either side of a product may be the constant; the right one is asked first. */
const EITHER_SIDE: readonly WeightInput[] = [
  { index: 1, role: "matrix" },
  { index: 0, role: "matrix" },
];

const STANDARD: Readonly<Record<string, readonly WeightInput[]>> = {
  Conv: [{ index: 1, role: "convolution" }],
  DeformConv: [{ index: 1, role: "convolution" }],
  ConvTranspose: [{ index: 1, role: "convolution_transposed" }],
  Gemm: EITHER_SIDE,
  MatMul: EITHER_SIDE,
  LSTM: RECURRENT,
  GRU: RECURRENT,
  RNN: RECURRENT,
  Gather: [{ index: 0, role: "embedding" }],
  ConvInteger: [{ index: 1, role: "convolution", quantized: true }],
  QLinearConv: [{ index: 3, role: "convolution", quantized: true }],
  MatMulInteger: [
    { index: 1, role: "matrix", quantized: true },
    { index: 0, role: "matrix", quantized: true },
  ],
  QLinearMatMul: [
    { index: 3, role: "matrix", quantized: true },
    { index: 0, role: "matrix", quantized: true },
  ],
};

const MICROSOFT: Readonly<Record<string, readonly WeightInput[]>> = {
  FusedConv: [{ index: 1, role: "convolution" }],
  FusedGemm: EITHER_SIDE,
  FusedMatMul: EITHER_SIDE,
  GemmFastGelu: [{ index: 1, role: "matrix" }],
  DynamicQuantizeMatMul: [{ index: 1, role: "matrix", quantized: true }],
  MatMulIntegerToFloat: [{ index: 1, role: "matrix", quantized: true }],
  MatMulNBits: [{ index: 1, role: "matrix", quantized: true }],
  MatMulBnb4: [{ index: 1, role: "matrix", quantized: true }],
};

/** Inputs of the node that hold a layer's weight when they are constant. */
export function weightInputs(node: Node): readonly WeightInput[] {
  if (node.domain === "" || node.domain === "ai.onnx") return STANDARD[node.opType] ?? [];
  return node.domain === "com.microsoft" ? (MICROSOFT[node.opType] ?? []) : [];
}
