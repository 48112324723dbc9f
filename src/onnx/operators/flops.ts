import { intsAttribute } from "../edit.ts";
import type { Node } from "../model.ts";
import { countOf, type NodeShapes, times } from "./node-shapes.ts";

/** Operations on each output element; a transcendental function counts as one. */
const PER_OUTPUT: Readonly<Record<string, number>> = {
  ...counted(
    1,
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil " +
      "Clip Cos Cosh CumSum Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less " +
      "LessOrEqual Log Max Min Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round ScatterElements ScatterND " +
      "Sign Sin Sinh Sqrt Sub Sum Tan Tanh Where Xor",
  ),
  ...counted(
    2,
    "BatchNormalization BiasGelu Celu Dropout Elu HardSigmoid Mean Selu Softplus Softsign Sigmoid",
  ),
  ...counted(2, "DequantizeLinear QuantizeLinear ThresholdedRelu Shrink Upsample"),
  ...counted(4, "FastGelu Gelu HardSwish Mish QuickGelu Softmax Swish LogSoftmax Resize RotaryEmbedding"),
  ...counted(
    6,
    "GroupNormalization InstanceNormalization LayerNormalization LRN LpNormalization MeanVarianceNormalization " +
      "RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization",
  ),
};

/** Every input element is looked at once. */
const PER_INPUT = new Set(
  (
    "ArgMax ArgMin GlobalAveragePool GlobalLpPool GlobalMaxPool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp " +
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
  if (PER_INPUT.has(opType)) return countOf(shapes.inputs[0]);
  if (POOLS.has(opType)) {
    const window = intsAttribute(node, "kernel_shape", [] as readonly number[]);
    return times(countOf(shapes.outputs[0]), ...window);
  }
  return 0;
}
