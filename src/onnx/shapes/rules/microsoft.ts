import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { addDims, axisOf, multiplyDims, unifyDims } from "../dims.ts";
import type { Dims } from "../facts.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";
import { convolutionRules } from "./convolution.ts";
import { broadcastInputs, sameAsFirst } from "./elementwise.ts";
import { gemm, matmulDims, matmulRules } from "./matmul.ts";
import { movementRules } from "./movement.ts";
import { layerNormalization } from "./normalization.ts";
import { quantizationRules } from "./quantization.ts";

function transposedLast(dims: Dims | null, transposed: boolean): Dims | null {
  if (!dims || !transposed || dims.length < 2) return dims;
  return [...dims.slice(0, -2), dims.at(-1) ?? null, dims.at(-2) ?? null];
}

const fusedMatMul: Rule = (c) => {
  const a = transposedLast(c.dims(0), c.int("transA", 0) !== 0);
  const b = transposedLast(c.dims(1), c.int("transB", 0) !== 0);
  const batched = c.int("transBatchA", 0) !== 0 || c.int("transBatchB", 0) !== 0;
  return [tensor(c.type(0), batched ? null : matmulDims(c, a, b))];
};

/** Weights of N columns in blocks of 4 or 8 bits; A is [..., K]. */
const matMulNBits: Rule = (c) => {
  const a = c.dims(0);
  return [tensor(c.type(0), a && [...a.slice(0, -1), c.int("N") ?? null])];
};

const floatMatMul: Rule = (c) => [tensor(DataType.FLOAT, matmulDims(c, c.dims(0), c.dims(1)))];

/** Inputs (A, scale, zero point, B, scale, zero point, …): elementwise on quantised values. */
const quantizedBinary: Rule = (c) => [tensor(c.type(0), broadcastInputs(c, [0, 3]))];

const quantizedConcat: Rule = (c) => {
  const shapes = Array.from({ length: Math.floor((c.inputCount - 2) / 3) }, (_, i) => c.dims(2 + 3 * i));
  const first = shapes[0];
  const axis = first && axisOf(c.int("axis", 1), first.length);
  if (!first || axis === null || axis === undefined) return [tensor(c.type(1), null)];
  const dims = first.map((dim, at) =>
    at === axis
      ? shapes.reduce<Dim>((sum, shape) => addDims(sum, shape?.[at] ?? null), 0)
      : shapes.reduce<Dim>((known, shape) => unifyDims(known, shape?.[at] ?? null), dim),
  );
  return [tensor(c.type(1), dims)];
};

const quantizedGlobalPool: Rule = (c) => {
  const x = c.dims(0);
  const last = c.int("channels_last", 0) !== 0;
  const channel = last ? (x?.length ?? 0) - 1 : 1;
  return [tensor(c.type(0), x?.map((dim, axis) => (axis === 0 || axis === channel ? dim : 1)) ?? null)];
};

/** x, skip, gamma, … → y, mean, deviation, x + skip. */
const skipNormalization: Rule = (c) => {
  const y = tensor(c.type(0), c.dims(0));
  return [y, undefined, undefined, y];
};

const embedNormalization: Rule = (c) => {
  const ids = c.dims(0);
  const hidden = c.dims(2)?.[1] ?? null;
  const y = tensor(c.type(2), ids && [...ids, hidden]);
  return [y, tensor(DataType.INT32, ids && [ids[0] ?? null]), y];
};

/** Packed attention: x [batch, length, in], weight [in, q + k + v]. */
const packedAttention: Rule = (c) => {
  const x = c.dims(0);
  const sizes = c.ints("qkv_hidden_sizes");
  const width = c.dims(1)?.[1];
  const hidden = sizes?.[2] ?? (typeof width === "number" ? width / 3 : null);
  return [tensor(c.type(0), x && [x[0] ?? null, x[1] ?? null, hidden])];
};

/** query [batch, length, hidden], value [batch, length, hidden of v]. */
const multiHeadAttention: Rule = (c) => {
  const q = c.dims(0);
  const v = c.dims(2);
  if (!q) return [tensor(c.type(0), null)];
  // Packed forms have five dimensions: [batch, length, heads, 3, size].
  const hidden =
    q.length === 5 ? multiplyDims(q[2] ?? null, q[4] ?? null) : v?.length === 3 ? (v[2] ?? null) : null;
  return [tensor(c.type(0), [q[0] ?? null, q[1] ?? null, hidden ?? (c.has(2) ? null : (q[2] ?? null))])];
};

const groupQueryAttention: Rule = (c) => {
  const q = c.dims(0);
  const packed = !c.has(1);
  const heads = c.int("num_heads", 1);
  const all = heads + 2 * c.int("kv_num_heads", 1);
  const width = q?.[2];
  const hidden = packed && typeof width === "number" ? (width / all) * heads : (width ?? null);
  return [tensor(c.type(0), q && [q[0] ?? null, q[1] ?? null, hidden])];
};

function standard(rules: RuleTable, name: string): Rule {
  return (c) => rules[name]?.(c) ?? [];
}

function same(names: string): RuleTable {
  return Object.fromEntries(names.split(" ").map((name) => [name, sameAsFirst]));
}

/** ONNX Runtime's own operators (com.microsoft), as its optimiser and its quantiser write them. */
export const microsoftRules: RuleTable = {
  ...same(
    "BiasGelu BiasSplitGelu FastGelu Gelu GroupNorm QLinearLeakyRelu QLinearSigmoid QLinearSoftmax QuickGelu " +
      "RotaryEmbedding BiasAdd BiasSoftmax Trilu BiasDropout",
  ),
  FusedConv: standard(convolutionRules, "Conv"),
  NhwcFusedConv: (c) => [tensor(c.type(0), c.dims(0)?.map(() => null) ?? null)],
  FusedGemm: gemm,
  GemmFastGelu: standard(matmulRules, "MatMul"),
  FusedMatMul: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  MatMulNBits: matMulNBits,
  MatMulBnb4: matMulNBits,
  DynamicQuantizeMatMul: floatMatMul,
  MatMulIntegerToFloat: floatMatMul,
  QLinearAdd: quantizedBinary,
  QLinearMul: quantizedBinary,
  QLinearConcat: quantizedConcat,
  QLinearGlobalAveragePool: quantizedGlobalPool,
  QLinearAveragePool: standard(convolutionRules, "AveragePool"),
  QuantizeLinear: standard(quantizationRules, "QuantizeLinear"),
  DequantizeLinear: standard(quantizationRules, "DequantizeLinear"),
  Pad: standard(movementRules, "Pad"),
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: skipNormalization,
  SimplifiedLayerNormalization: layerNormalization,
  EmbedLayerNormalization: embedNormalization,
  Attention: packedAttention,
  MultiHeadAttention: multiHeadAttention,
  GroupQueryAttention: groupQueryAttention,
};
