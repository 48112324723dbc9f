import { widen } from "../../../onnx/constant/half.ts";
import { DataType } from "../../../onnx/data-type.ts";
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import type { TensorValue } from "../../../onnx/tensor-value.ts";
import {
  constantIntegers,
  constantValue,
  inStandardDomain,
  isStandard,
  NEWEST_OPSET,
  type Pass,
  type Rewriting,
  staticDims,
} from "../pass.ts";
import type { Scope } from "../scope.ts";

interface Question {
  readonly node: Node;
  readonly scope: Scope;
  readonly rewriting: Rewriting;
}

/** Whether the node's first output always equals its input, and which of its inputs that is; null: no. */
type NoOp = (question: Question) => Promise<number | null> | number | null;

/** Nodes whose output is one of their inputs: what uses the output uses the input instead. */
export const noOps: Pass = {
  name: "no-ops",
  opsets: [7, NEWEST_OPSET],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      const rule = inStandardDomain(node) ? RULES.get(node.opType) : undefined;
      const [output, ...others] = node.outputs;
      if (!rule || !output || others.some((name) => name && scope.isUsed(name))) continue;
      const same = await rule({ node, scope, rewriting });
      const input = same === null ? undefined : node.inputs[same];
      if (!input || !scope.substitute(output, input)) continue;
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

const first: NoOp = () => 0;
const loneInput: NoOp = ({ node }) => (node.inputs.length === 1 ? 0 : null);

const RULES: ReadonlyMap<string, NoOp> = new Map<string, NoOp>([
  ["Identity", first],
  ["Concat", loneInput],
  ["Sum", loneInput],
  ["Mean", loneInput],
  ["Max", loneInput],
  ["Min", loneInput],
  ["Dropout", dropout],
  ["Cast", cast],
  ["Reshape", reshape],
  ["Flatten", flatten],
  ["Squeeze", sameShape],
  ["Unsqueeze", sameShape],
  ["Transpose", transpose],
  ["Expand", sameShape],
  ["Tile", async (q) => ((await allEqual(q, 1, 1)) ? 0 : null)],
  ["Pad", pad],
  ["Slice", slice],
  ["Split", ({ node }) => (node.outputs.length === 1 ? 0 : null)],
  ["Add", (q) => neutral(q, 0, true)],
  ["Sub", (q) => neutral(q, 0, false)],
  ["Mul", (q) => neutral(q, 1, true)],
  ["Div", (q) => neutral(q, 1, false)],
  ["Pow", (q) => neutral(q, 1, false)],
  ["And", (q) => neutral(q, 1, true)],
  ["Or", (q) => neutral(q, 0, true)],
  ["Resize", resize],
  ["Upsample", resize],
  ["MaxPool", pool],
  ["AveragePool", pool],
  ["GlobalAveragePool", sameShape],
  ["GlobalMaxPool", sameShape],
  ["ReduceSum", sameShape],
  ["ReduceMean", sameShape],
  ["ReduceMax", sameShape],
  ["ReduceMin", sameShape],
  ["ReduceProd", sameShape],
  ["Clip", ({ node }) => (node.attributes.length === 0 && !node.inputs[1] && !node.inputs[2] ? 0 : null)],
  ["Relu", ({ node, scope }) => (madeBy(scope, node.inputs[0], "Relu", "Sigmoid", "Softmax") ? 0 : null)],
]);

function madeBy(scope: Scope, name: string | undefined, ...opTypes: string[]): boolean {
  const maker = name ? scope.producerNode(name) : undefined;
  return maker !== undefined && isStandard(maker, ...opTypes);
}

/** At inference; from opset 12 on that is when training_mode is left out or false. */
async function dropout({ node, scope, rewriting }: Question): Promise<number | null> {
  if (!node.inputs[2]) return 0;
  const training = await constantIntegers(scope, rewriting, node.inputs[2]);
  return training?.[0] === 0 ? 0 : null;
}

function cast({ node, scope, rewriting }: Question): number | null {
  const fact = rewriting.fact(scope, node.inputs[0]!);
  return fact && fact.dataType !== 0 && fact.dataType === intAttribute(node, "to", -1) ? 0 : null;
}

/** The output has the input's static shape, and the operator only moves data where the shape stays. */
function sameShape({ node, scope, rewriting }: Question): number | null {
  const before = staticDims(rewriting.fact(scope, node.inputs[0]!));
  const after = staticDims(rewriting.fact(scope, node.outputs[0]!));
  if (!before || !after || before.length !== after.length) return null;
  return before.every((size, axis) => size === after[axis]) ? 0 : null;
}

async function reshape(question: Question): Promise<number | null> {
  if (sameShape(question) === 0) return 0;
  const { node, scope, rewriting } = question;
  const target = await constantIntegers(scope, rewriting, node.inputs[1]);
  const dims = rewriting.fact(scope, node.inputs[0]!)?.dims;
  if (!target || !dims || target.length !== dims.length || intAttribute(node, "allowzero", 0)) return null;
  // A −1 is what is left, so it is the input's own size when every other one is kept.
  const kept = target.every((size, axis) => size === 0 || size === -1 || (size === dims[axis] && size > 0));
  return kept && target.filter((size) => size === -1).length <= 1 && noZero(dims) ? 0 : null;
}

function noZero(dims: readonly unknown[]): boolean {
  return !dims.includes(0);
}

function flatten({ node, scope, rewriting }: Question): number | null {
  const rank = rewriting.fact(scope, node.inputs[0]!)?.dims?.length;
  const axis = intAttribute(node, "axis", 1);
  return rank === 2 && (axis === 1 || axis === -1) ? 0 : null;
}

function transpose({ node }: Question): number | null {
  const perm = intsAttribute(node, "perm", null);
  return perm?.every((axis, i) => axis === i) ? 0 : null;
}

async function allEqual(
  { node, scope, rewriting }: Question,
  input: number,
  value: number,
): Promise<boolean> {
  const entries = await constantIntegers(scope, rewriting, node.inputs[input]);
  return entries?.every((entry) => entry === value) ?? false;
}

/** Pads are an attribute up to opset 10. */
async function pad(question: Question): Promise<number | null> {
  const { node, rewriting } = question;
  if (rewriting.opset >= 11) return (await allEqual(question, 1, 0)) ? 0 : null;
  return intsAttribute(node, "pads", null)?.every((entry) => entry === 0) ? 0 : null;
}

/** Starts and ends are attributes up to opset 9. */
async function slice(question: Question): Promise<number | null> {
  const { node, scope, rewriting } = question;
  const constant = (input: number) => constantIntegers(scope, rewriting, node.inputs[input]);
  const old = rewriting.opset < 10;
  const starts = old ? intsAttribute(node, "starts", null) : await constant(1);
  const ends = old ? intsAttribute(node, "ends", null) : await constant(2);
  const steps = node.inputs[4] ? await constant(4) : [];
  if (!starts || !ends || !steps) return null;
  const whole =
    starts.every((start) => start === 0) &&
    ends.every((end) => end >= 2 ** 31 - 1) &&
    steps.every((step) => step === 1);
  return whole ? 0 : sameStart(starts, steps) ? sameShape(question) : null;
}

/** With every start at 0 and step 1, a slice that keeps the shape keeps everything. */
function sameStart(starts: readonly number[], steps: readonly number[]): boolean {
  return starts.every((start) => start === 0) && steps.every((step) => step === 1);
}

/** A constant operand that changes no entry, and whose shape does not widen the other one. */
async function neutral(
  { node, scope, rewriting }: Question,
  value: number,
  commutes: boolean,
): Promise<number | null> {
  for (const [constant, other] of commutes
    ? [
        [1, 0],
        [0, 1],
      ]
    : [[1, 0]]) {
    const operand = await constantValue(scope, rewriting, node.inputs[constant!], 65536);
    if (!operand || !isUniform(operand, value)) continue;
    const dims = rewriting.fact(scope, node.inputs[other!]!)?.dims;
    if (dims && keepsShape(dims, operand.dims)) return other!;
    if (operand.dims.length === 0) return other!;
  }
  return null;
}

function isUniform({ dataType, data }: TensorValue, value: number): boolean {
  if (data.length === 0 || typeof data[0] === "string") return false;
  const half = dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16;
  const entries = half ? widen(dataType, data as Uint16Array) : (data as ArrayLike<number | bigint>);
  for (let i = 0; i < entries.length; i++) if (Number(entries[i]) !== value) return false;
  return true;
}

/** Broadcasting the constant against the shape gives the shape. */
function keepsShape(dims: readonly (number | string | null)[], constant: readonly number[]): boolean {
  const lead = dims.length - constant.length;
  return lead >= 0 && constant.every((size, axis) => size === 1 || size === dims[lead + axis]);
}

/** All scales 1. Coordinates then map onto themselves in every mode but tf_crop_and_resize. */
async function resize(question: Question): Promise<number | null> {
  const { node, scope, rewriting } = question;
  if (stringAttribute(node, "coordinate_transformation_mode", "") === "tf_crop_and_resize") return null;
  const at = isStandard(node, "Upsample") || rewriting.opset === 10 ? 1 : 2;
  if (node.inputs[3]) return sameShape(question);
  const scales = await constantValue(scope, rewriting, node.inputs[at]);
  if (scales && scales.data.length > 0) return isUniform(scales, 1) ? 0 : null;
  const old = isStandard(node, "Upsample") && rewriting.opset < 9;
  if (!old) return null;
  const attribute = node.attributes.find(({ name }) => name === "scales")?.value;
  return attribute?.type === "floats" && attribute.value.every((scale) => scale === 1) ? 0 : null;
}

/** A window of one entry at a step of one. */
function pool({ node }: Question): number | null {
  const ones = (name: string) => intsAttribute(node, name, []).every((size) => size === 1);
  const noPads = intsAttribute(node, "pads", []).every((size) => size === 0);
  const kernel = intsAttribute(node, "kernel_shape", []);
  const auto = stringAttribute(node, "auto_pad", "NOTSET");
  if (kernel.length === 0 || !ones("kernel_shape") || !ones("strides") || !noPads) return null;
  return auto === "NOTSET" || auto === "VALID" || auto === "SAME_UPPER" || auto === "SAME_LOWER"
    ? floatAttribute(node, "p", 1) === 1
      ? 0
      : null
    : null;
}
