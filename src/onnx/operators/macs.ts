import { intAttribute, stringAttribute } from "../edit.ts";
import type { Dim, Node } from "../model.ts";
import { countOf, type NodeShapes, plus, times } from "./node-shapes.ts";

/**
 * Multiply-accumulates of the operators that are made of them; everything else has none (see flops.ts).
 * Counted dense, as a stock runtime computes: zeros in a weight do not lower them. Biases are not counted.
 */
type Count = (node: Node, shapes: NodeShapes) => number | null;

/** Each output element sums over the kernel and the channels of its group. The weight is [out, in/groups, k…]. */
function convolution(weight: number): Count {
  return (_, { inputs, outputs }) => times(countOf(outputs[0]), countOf(inputs[weight]?.slice(1)));
}

/** Each input element is spread over the kernel and the channels of its group. The weight is [in, out/groups, k…]. */
const convTranspose: Count = (_, { inputs }) => times(countOf(inputs[0]), countOf(inputs[1]?.slice(1)));

function matmul(left: number): Count {
  return (node, { inputs, outputs }) => {
    const a = inputs[left];
    const inner = intAttribute(node, "transA", 0) !== 0 ? a?.at(-2) : a?.at(-1);
    return times(countOf(outputs[0]), inner);
  };
}

const gemm: Count = (node, { inputs, outputs }) => {
  const inner = inputs[0]?.[intAttribute(node, "transA", 0) !== 0 ? 0 : 1];
  return times(countOf(outputs[0]), inner);
};

/** Weight compressed in blocks; K and N are attributes. */
const blockMatmul: Count = (node, { outputs }) => times(countOf(outputs[0]), intAttribute(node, "K", null));

/** All gates, for every step, sample and direction: W and R are used once each. */
const recurrent: Count = (_, { inputs: [x, w, r] }) => times(x?.[0], x?.[1], plus(countOf(w), countOf(r)));

/** A step for every combination of the labels, when something is multiplied at all. */
const einsum: Count = (node, { inputs }) => {
  if (inputs.length < 2) return 0;
  const [left = ""] = stringAttribute(node, "equation", "").replaceAll(" ", "").split("->");
  if (left.includes(".")) return null;
  const sizes = new Map<string, Dim>();
  for (const [i, term] of left.split(",").entries()) {
    for (const [at, label] of [...term].entries()) sizes.set(label, inputs[i]?.[at] ?? null);
  }
  return times(inputs.length - 1, ...sizes.values());
};

/** Scores and their weighted sum: Q·Kᵀ and P·V. Inputs [batch, heads, length, size] or [batch, length, hidden]. */
const attention: Count = (_, { inputs, outputs }) => {
  const [q, k, v] = inputs;
  if (!q || !k || !v) return null;
  const keys = outputs[1]?.at(-2) ?? k.at(-2);
  return plus(times(countOf(q), keys), times(countOf(outputs[0]), keys));
};

/** Packed projection x·W, then attention over the length. */
const packedAttention: Count = (_, { inputs, outputs }) => {
  const [x, weight] = inputs;
  const projection = times(x?.[0], x?.[1], countOf(weight));
  return plus(projection, times(2, countOf(outputs[0]), x?.[1]));
};

const MACS: Readonly<Record<string, Count>> = {
  Conv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  DeformConv: convolution(1),
  ConvTranspose: convTranspose,
  MatMul: matmul(0),
  MatMulInteger: matmul(0),
  QLinearMatMul: matmul(0),
  Gemm: gemm,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Einsum: einsum,
  Attention: attention,
};

const MICROSOFT: Readonly<Record<string, Count>> = {
  FusedConv: convolution(1),
  FusedGemm: gemm,
  FusedMatMul: matmul(0),
  TransposeMatMul: matmul(0),
  GemmFastGelu: matmul(0),
  DynamicQuantizeMatMul: matmul(0),
  MatMulIntegerToFloat: matmul(0),
  MatMulInteger16: matmul(0),
  QGemm: gemm,
  QLinearConv: convolution(3),
  MatMulNBits: blockMatmul,
  MatMulBnb4: blockMatmul,
  DynamicQuantizeLSTM: recurrent,
  MultiHeadAttention: attention,
  GroupQueryAttention: attention,
  Attention: packedAttention,
};

function counterOf(node: Node): Count | undefined {
  if (node.domain === "" || node.domain === "ai.onnx") return MACS[node.opType];
  return node.domain === "com.microsoft" ? MICROSOFT[node.opType] : undefined;
}

/** Whether the operator does multiply-accumulates. */
export function hasMacs(node: Node): boolean {
  return counterOf(node) !== undefined;
}

/**
 * Multiply-accumulates of one run of a node; 0 for operators that have none, null when shapes that it needs are
 * not known. If, Loop and Scan have none of their own: see totals.ts.
 */
export function nodeMacs(node: Node, shapes: NodeShapes): number | null {
  return counterOf(node)?.(node, shapes) ?? (hasMacs(node) ? null : 0);
}
