import { intsAttribute } from "../edit.ts";
import type { Node } from "../model.ts";
import { countOf, type NodeShapes, times } from "./node-shapes.ts";

/** Operations on each output element; a transcendental function counts as one. */
const PER_OUTPUT: Readonly<Record<string, number>> = {
  ...counted(
    1,
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast " +
      "CastLike Ceil Clip Cos Cosh CumSum Div Equal Erf Exp Floor Greater GreaterOrEqual Hardmax IsInf IsNaN " +
      "LeakyRelu Less LessOrEqual Log Mod Mul Neg Not Or PRelu Pow QLinearAdd QLinearLeakyRelu QLinearMul " +
      "QLinearSigmoid Reciprocal Relu Round ScatterElements ScatterND Sign Sin Sinh Sqrt Sub Tan Tanh Where Xor",
  ),
  ...counted(2, "BatchNormalization BiasGelu Celu Dropout Elu HardSigmoid Selu Softplus Softsign Sigmoid"),
  ...counted(2, "DequantizeLinear DynamicQuantizeLinear QuantizeLinear ThresholdedRelu Shrink Upsample"),
  ...counted(
    4,
    "FastGelu Gelu HardSwish Mish QLinearSoftmax QuickGelu Softmax Swish LogSoftmax Resize RotaryEmbedding",
  ),
  ...counted(
    6,
    "GroupNormalization InstanceNormalization LayerNormalization LRN LpNormalization MeanVarianceNormalization " +
      "RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization",
  ),
};

/** Operations on each output element of operators that take any number of inputs, by that number. */
const PER_INPUTS: Readonly<Record<string, (inputs: number) => number>> = {
  Max: (inputs) => inputs - 1,
  Mean: (inputs) => inputs,
  Min: (inputs) => inputs - 1,
  Sum: (inputs) => inputs - 1,
};

/** Every input element is looked at once. */
const PER_INPUT = new Set(
  (
    "ArgMax ArgMin GlobalAveragePool GlobalLpPool GlobalMaxPool QLinearGlobalAveragePool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp " +
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK"
  ).split(" "),
);

const POOLS = new Set(["AveragePool", "LpPool", "MaxPool", "QLinearAveragePool"]);

function counted(operations: number, names: string): Record<string, number> {
  return Object.fromEntries(names.split(" ").map((name) => [name, operations]));
}

/**
 * Operations of a node besides its multiply-accumulates, roughly: pooling, activations, normalisation, reductions.
 * 0 for operators that only move data, null where shapes are not known.
 */
export function vectorFlops(node: Node, shapes: NodeShapes): number | null {
  const { opType } = node;
  const perOutput = PER_OUTPUT[opType];
  if (perOutput !== undefined) return times(countOf(shapes.outputs[0]), perOutput);
  const perInputs = PER_INPUTS[opType];
  if (perInputs) return times(countOf(shapes.outputs[0]), perInputs(node.inputs.length));
  if (PER_INPUT.has(opType)) return countOf(shapes.inputs[0]);
  if (POOLS.has(opType)) {
    const window = intsAttribute(node, "kernel_shape", [] as readonly number[]);
    return times(countOf(shapes.outputs[0]), ...window);
  }
  return 0;
}
