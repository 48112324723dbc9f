import { DataType } from "../../data-type.ts";
import { broadcast } from "../dims.ts";
import type { Dims } from "../facts.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

/** Output shaped and typed as the first input. */
export const sameAsFirst: Rule = (c) => [tensor(c.type(0), c.dims(0))];

/** Output shaped as the first input, of the given type. */
export function shapedAsFirst(dataType: number): Rule {
  return (c) => [tensor(dataType, c.dims(0))];
}

/** Shapes of the inputs `indices`, broadcast together. */
export function broadcastInputs(c: RuleContext, indices: readonly number[]): Dims | null {
  return broadcast(
    indices.map((index) => c.dims(index)),
    () => c.contradiction(`inputs of ${c.node.opType} cannot be broadcast together`),
  );
}

function allInputs(c: RuleContext): number[] {
  return Array.from({ length: c.inputCount }, (_, i) => i);
}

/** Type of the first input that has one. */
function firstType(c: RuleContext, indices: readonly number[]): number {
  return indices.map((index) => c.type(index)).find((type) => type !== DataType.UNDEFINED) ?? 0;
}

const broadcasting: Rule = (c) => {
  const indices = allInputs(c);
  return [tensor(firstType(c, indices), broadcastInputs(c, indices))];
};

const power: Rule = (c) => [tensor(c.type(0), broadcastInputs(c, [0, 1]))];

const comparison: Rule = (c) => [tensor(DataType.BOOL, broadcastInputs(c, [0, 1]))];

const where: Rule = (c) => [tensor(firstType(c, [1, 2]), broadcastInputs(c, [0, 1, 2]))];

const cast: Rule = (c) => [tensor(c.int("to", 0), c.dims(0))];

const castLike: Rule = (c) => [tensor(c.type(1), c.dims(0))];

const dropout: Rule = (c) => [
  tensor(c.type(0), c.dims(0)),
  tensor(c.opset >= 10 ? DataType.BOOL : c.type(0), c.dims(0)),
];

const bernoulli: Rule = (c) => [tensor(c.int("dtype", c.type(0)), c.dims(0))];

function table(names: string, rule: Rule): RuleTable {
  return Object.fromEntries(names.split(" ").map((name) => [name, rule]));
}

/** Element by element, with or without numpy broadcasting; all opsets from 7 on. */
export const elementwiseRules: RuleTable = {
  ...table(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh CumProd CumSum Elu Erf Exp Floor " +
      "Gelu HardSigmoid HardSwish Hardmax LeakyRelu Log LogSoftmax LpNormalization Mish Neg Not PRelu " +
      "Reciprocal Relu ReverseSequence Round Scatter ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh " +
      "Softmax Softplus Softsign Sqrt Swish Tan Tanh TensorScatter ThresholdedRelu Trilu Affine ImageScaler " +
      "ParametricSoftplus ScaledTanh",
    sameAsFirst,
  ),
  ...table("Add BitwiseAnd BitwiseOr BitwiseXor Div Max Mean Min Mod Mul StringConcat Sub Sum", broadcasting),
  ...table("And Equal Greater GreaterOrEqual Less LessOrEqual Or Xor", comparison),
  ...table("IsInf IsNaN RegexFullMatch", shapedAsFirst(DataType.BOOL)),
  BitShift: power,
  Pow: power,
  Where: where,
  Cast: cast,
  BitCast: cast,
  CastLike: castLike,
  Dropout: dropout,
  Bernoulli: bernoulli,
  /** Keeps a sequence or an optional as it is. */
  Identity: (c) => [c.fact(0)],
};
