import { findAttribute, intAttribute, intsAttribute } from "../../onnx/edit.ts";
import type { Node } from "../../onnx/model.ts";
import { type Box, lengthOf, type Range, wholeBox } from "./box.ts";
import { along, type DimsOf, type Part, type Read, slicedPart } from "./part.ts";

/** Element by element, NumPy's broadcasting; every input lies as the output does. */
const ELEMENTWISE: ReadonlySet<string> = new Set(
  `Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Celu Clip Cos Cosh
   Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less
   LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh
   Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor`.split(/\s+/),
);

/** Each channel, the second axis, by itself. */
const CHANNELWISE: ReadonlySet<string> = new Set([
  "AveragePool",
  "BatchNormalization",
  "GlobalAveragePool",
  "GlobalLpPool",
  "GlobalMaxPool",
  "InstanceNormalization",
  "LpPool",
  "MaxPool",
  "Resize",
  "Upsample",
]);
/** Of these, the ones whose further inputs have an entry a channel. */
const PER_CHANNEL: ReadonlySet<string> = new Set(["BatchNormalization", "InstanceNormalization"]);

/** Over one axis or the axes from one on; the others stay. */
const NORMALISING: Readonly<Record<string, number>> = { LayerNormalization: -1, RMSNormalization: -1 };

/**
 * The part of an operator without a weight that makes a range of its first output, from slices of what it reads.
 *
 * @returns null where the operator cannot be divided along this axis
 */
export function operatorPart(node: Node, dimsOf: DimsOf, axis: number, range: Range): Part | null {
  if (!isStandard(node) || node.outputs.length !== 1) return null;
  const output = dimsOf(node.outputs[0] ?? "");
  if (!output || axis < 0 || axis >= output.length) return null;
  const box = along(output, axis, range);
  if (node.opType === "Concat") return concatPart(node, dimsOf, axis, range, box);
  const reads = readsFor(node, dimsOf, output, axis, range);
  return reads && slicedPart(node, reads, box);
}

/** The axis of the first output that holds what an axis of one input holds; null where none does. */
export function outputAxis(node: Node, dimsOf: DimsOf, input: string, axis: number): number | null {
  const [from, to] = [dimsOf(input), dimsOf(node.outputs[0] ?? "")];
  if (!from || !to) return null;
  if (ELEMENTWISE.has(node.opType)) return axis + to.length - from.length;
  if (CHANNELWISE.has(node.opType)) return axis === 1 ? 1 : null;
  if (node.opType in NORMALISING) return axis;
  if (node.opType === "Transpose") return permutation(node, from.length).indexOf(axis);
  return null;
}

function isStandard({ domain }: Node): boolean {
  return domain === "" || domain === "ai.onnx";
}

function readsFor(
  node: Node,
  dimsOf: DimsOf,
  output: readonly number[],
  axis: number,
  range: Range,
): Read[] | null {
  const { opType } = node;
  const boxes = node.inputs.map((name, slot): Box | null | "nothing" => {
    if (name === "") return "nothing";
    const dims = dimsOf(name);
    if (!dims) return null;
    if (ELEMENTWISE.has(opType)) return broadcastBox(node, dims, output, axis, range);
    if (CHANNELWISE.has(opType)) return channelBox(node, slot, dims, output, axis, range);
    if (opType in NORMALISING) return normalisedBox(node, slot, dims, output, axis, range);
    if (opType === "Transpose") return along(dims, permutation(node, dims.length)[axis] ?? -1, range);
    if (opType === "MatMul") return factorBox(slot, dims, output, axis, range);
    return null;
  });
  if (boxes.length === 0 || boxes.includes(null)) return null;
  return boxes.flatMap((box, slot) =>
    box === null || box === "nothing" ? [] : [{ name: node.inputs[slot] ?? "", slot, box }],
  );
}

function broadcastBox(
  node: Node,
  dims: readonly number[],
  output: readonly number[],
  axis: number,
  range: Range,
): Box | null {
  // Before opset 7 an attribute said where a shorter operand lies.
  if (findAttribute(node, "broadcast")) return null;
  const own = axis - (output.length - dims.length);
  if (own < 0 || (dims[own] === 1 && output[axis] !== 1)) return wholeBox(dims);
  return dims[own] === output[axis] ? along(dims, own, range) : null;
}

function channelBox(
  { opType, inputs }: Node,
  slot: number,
  dims: readonly number[],
  output: readonly number[],
  axis: number,
  range: Range,
): Box | null {
  if (axis !== 1) return null;
  if (slot === 0) return dims[1] === output[1] ? along(dims, 1, range) : null;
  if (PER_CHANNEL.has(opType)) return along(dims, 0, range);
  // Sizes would count the channels; a fourth input of Resize holds them.
  return inputs[3] ? null : wholeBox(dims);
}

function normalisedBox(
  node: Node,
  slot: number,
  dims: readonly number[],
  output: readonly number[],
  axis: number,
  range: Range,
): Box | null {
  const first = intAttribute(node, "axis", NORMALISING[node.opType] ?? -1);
  if (axis >= (first < 0 ? first + output.length : first)) return null;
  return slot === 0 ? along(dims, axis, range) : wholeBox(dims);
}

/** A factor of a product: the left one has the rows, the right one the columns, both have the batch of matrices. */
function factorBox(
  slot: number,
  dims: readonly number[],
  output: readonly number[],
  axis: number,
  range: Range,
): Box | null {
  const rank = output.length;
  if (dims.length < 2) return null;
  if (axis >= rank - 2) {
    const mine = (axis === rank - 2) === (slot === 0);
    return mine ? along(dims, axis - (rank - dims.length), range) : wholeBox(dims);
  }
  const own = axis - (rank - dims.length);
  if (own < 0 || dims[own] === 1) return wholeBox(dims);
  return along(dims, own, range);
}

function permutation(node: Node, rank: number): readonly number[] {
  return intsAttribute(node, "perm", null) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

/** Only the operands that the range reaches into. */
function concatPart(node: Node, dimsOf: DimsOf, axis: number, range: Range, box: Box): Part | null {
  const given = intAttribute(node, "axis", null);
  if (given === null) return null;
  const joined = given < 0 ? given + box.length : given;
  const reads: Read[] = [];
  let start = 0;
  for (const [slot, name] of node.inputs.entries()) {
    const dims = dimsOf(name);
    if (!dims) return null;
    const size = dims[joined] ?? 0;
    const own =
      joined === axis
        ? { from: Math.max(0, range.from - start), to: Math.min(size, range.to - start) }
        : range;
    start += size;
    if (lengthOf(own) > 0) reads.push({ name, slot, box: along(dims, axis, own) });
  }
  return {
    reads,
    outputs: [box],
    partial: false,
    nodes: (inputs, outputs) => [{ ...node, inputs, outputs }],
  };
}
