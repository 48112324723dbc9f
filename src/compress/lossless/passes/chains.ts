import { evaluateNode } from "../../../onnx/constant/evaluate.ts";
import { DataType } from "../../../onnx/data-type.ts";
import { floatAttribute, intAttribute, intsAttribute, nodeOf, withAttributes } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import type { TensorValue } from "../../../onnx/tensor-value.ts";
import { compactTensor } from "../derived.ts";
import {
  constantIntegers,
  constantValue,
  inStandardDomain,
  NEWEST_OPSET,
  type Pass,
  type Rewriting,
} from "../pass.ts";
import type { Scope } from "../scope.ts";

interface Pair {
  readonly scope: Scope;
  readonly rewriting: Rewriting;
  readonly before: Node;
  readonly after: Node;
}

/** One node for the two, or null. What `before` makes is used by `after` only if `alone` says so. */
interface Merge {
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** The merged node costs no more than `after` did, so `before` may have other users. */
  readonly shared: boolean;
  readonly merge: (pair: Pair) => Promise<Node | null> | Node | null;
}

const RESHAPES = ["Reshape", "Squeeze", "Unsqueeze", "Flatten"];

const MERGES: readonly Merge[] = [
  { before: ["Transpose"], after: ["Transpose"], shared: true, merge: transposes },
  { before: RESHAPES, after: ["Reshape"], shared: true, merge: reshapes },
  { before: ["Unsqueeze"], after: ["Squeeze"], shared: true, merge: undone },
  { before: ["Squeeze"], after: ["Unsqueeze"], shared: true, merge: undone },
  { before: ["Cast"], after: ["Cast"], shared: true, merge: casts },
  { before: ["Not"], after: ["Not"], shared: true, merge: ({ before, after }) => identity(before, after) },
  { before: ["Neg"], after: ["Neg"], shared: true, merge: ({ before, after }) => identity(before, after) },
  { before: ["Add"], after: ["Add"], shared: false, merge: constants },
  { before: ["Mul"], after: ["Mul"], shared: false, merge: constants },
  { before: ["Concat"], after: ["Concat"], shared: false, merge: concats },
  { before: ["Relu"], after: ["Clip"], shared: true, merge: reluClip },
];

/** Two nodes in a row that one node can do. */
export const chains: Pass = {
  name: "chains",
  opsets: [7, NEWEST_OPSET],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index] of scope.nodes()) {
      // A merged node is looked at again: chains may be long.
      while (await mergeInto(scope, rewriting, index)) changes++;
    }
    return changes;
  },
};

async function mergeInto(scope: Scope, rewriting: Rewriting, index: number): Promise<boolean> {
  const after = scope.node(index);
  if (!after || !inStandardDomain(after)) return false;
  for (const input of new Set(after.inputs)) {
    const at = input ? scope.producer(input) : undefined;
    const before = at === undefined ? undefined : scope.node(at);
    if (at === undefined || !before || !inStandardDomain(before)) continue;
    for (const rule of MERGES) {
      if (!rule.before.includes(before.opType) || !rule.after.includes(after.opType)) continue;
      if (!rule.shared && !scope.feedsOnly(input, index)) continue;
      if (rule.shared && after.inputs[0] !== input) continue;
      const merged = await rule.merge({ scope, rewriting, before, after });
      if (!merged) continue;
      scope.replace(index, merged);
      if (before.outputs.every((name) => !name || !scope.isUsed(name))) scope.remove(at);
      return true;
    }
  }
  return false;
}

function identity(before: Node, after: Node): Node {
  return { ...nodeOf("Identity", [before.inputs[0]!], after.outputs), name: after.name };
}

function transposes({ before, after }: Pair): Node | null {
  const first = intsAttribute(before, "perm", null);
  const second = intsAttribute(after, "perm", null);
  if (!first || !second || first.length !== second.length) {
    return !first && !second ? identity(before, after) : null;
  }
  const perm = second.map((axis) => first[axis]!);
  return {
    ...withAttributes(after, { perm: { type: "ints", value: perm } }),
    inputs: [before.inputs[0]!],
  };
}

/** A Reshape looks at the order of the entries only, unless a 0 in its target copies a size. */
async function reshapes({ scope, rewriting, before, after }: Pair): Promise<Node | null> {
  const target = await constantIntegers(scope, rewriting, after.inputs[1]);
  if (!target || (target.includes(0) && !intAttribute(after, "allowzero", 0))) return null;
  return { ...after, inputs: [before.inputs[0]!, after.inputs[1]!] };
}

/** Squeeze and Unsqueeze of the same axes. */
async function undone({ scope, rewriting, before, after }: Pair): Promise<Node | null> {
  const axesOf = (node: Node) =>
    intsAttribute(node, "axes", null) ?? constantIntegers(scope, rewriting, node.inputs[1]);
  const [first, second] = [await axesOf(before), await axesOf(after)];
  if (!first || !second || first.length !== second.length) return null;
  const sorted = [...second].sort((a, b) => a - b);
  if (![...first].sort((a, b) => a - b).every((axis, i) => axis === sorted[i] && axis >= 0)) return null;
  return identity(before, after);
}

/** Casts that lose nothing: from the type on the left to those on the right. */
const WIDENING: Readonly<Record<number, readonly number[]>> = {
  [DataType.BOOL]: [
    DataType.UINT8,
    DataType.INT8,
    DataType.INT32,
    DataType.INT64,
    DataType.FLOAT16,
    DataType.FLOAT,
    DataType.DOUBLE,
  ],
  [DataType.UINT8]: [DataType.INT32, DataType.INT64, DataType.FLOAT16, DataType.FLOAT, DataType.DOUBLE],
  [DataType.INT8]: [DataType.INT32, DataType.INT64, DataType.FLOAT16, DataType.FLOAT, DataType.DOUBLE],
  [DataType.INT32]: [DataType.INT64, DataType.DOUBLE],
  [DataType.FLOAT16]: [DataType.FLOAT, DataType.DOUBLE],
  [DataType.BFLOAT16]: [DataType.FLOAT, DataType.DOUBLE],
  [DataType.FLOAT]: [DataType.DOUBLE],
};

function casts({ scope, rewriting, before, after }: Pair): Node | null {
  const from = rewriting.fact(scope, before.inputs[0]!)?.dataType;
  const middle = intAttribute(before, "to", 0);
  if (!from || !WIDENING[from]?.includes(middle)) return null;
  return { ...after, inputs: [before.inputs[0]!] };
}

/** (x + a) + b = x + (a + b), and the same for products; float results move by a rounding. */
async function constants({ scope, rewriting, before, after }: Pair): Promise<Node | null> {
  const inner = await operand(scope, rewriting, before);
  const outer = await operand(scope, rewriting, after);
  if (!inner || !outer || inner.value.dataType !== DataType.FLOAT) return null;
  const values = evaluateNode(
    nodeOf(after.opType, ["a", "b"], ["c"]),
    [inner.value, outer.value],
    rewriting.opset,
  );
  const [value] = values ?? [];
  if (!value || !isFinitePart(value)) return null;
  // One constant of the same size or smaller than the two.
  if (value.data.length > Math.max(inner.value.data.length, outer.value.data.length)) return null;
  // The node before goes, so a constant that only it used may be written over.
  const alone =
    scope.ownConstant(inner.name) && scope.uses(inner.name).size === 1 && !scope.isOutput(inner.name);
  const name = alone ? inner.name : rewriting.fresh(`${outer.name}_folded`);
  scope.addInitializer(compactTensor(name, value));
  return { ...after, inputs: [inner.other, name] };
}

/** Sums and products that overflow, or that become 0 or a subnormal, would not come out the same. */
function isFinitePart(value: TensorValue): boolean {
  return (value.data as Float32Array).every(
    (entry) => entry === 0 || (Number.isFinite(entry) && Math.abs(entry) > 1e-30),
  );
}

async function operand(
  scope: Scope,
  rewriting: Rewriting,
  node: Node,
): Promise<{ value: TensorValue; name: string; other: string } | null> {
  for (const [constant, other] of [
    [1, 0],
    [0, 1],
  ] as const) {
    const value = await constantValue(scope, rewriting, node.inputs[constant], 65536);
    if (value && !scope.constant(node.inputs[other]!)) {
      return { value, name: node.inputs[constant]!, other: node.inputs[other]! };
    }
  }
  return null;
}

const MAX_CONCAT_INPUTS = 256;

/** A Concat inside a Concat of the same axis. */
function concats({ before, after }: Pair): Node | null {
  const axis = intAttribute(after, "axis", null);
  if (axis === null || axis !== intAttribute(before, "axis", null)) return null;
  if (before.inputs.length + after.inputs.length > MAX_CONCAT_INPUTS) return null;
  const [inner] = before.outputs;
  return { ...after, inputs: after.inputs.flatMap((name) => (name === inner ? before.inputs : [name])) };
}

/** A Clip from 0 or above needs no Relu in front of it. */
async function reluClip({ scope, rewriting, before, after }: Pair): Promise<Node | null> {
  const low =
    rewriting.opset < 11
      ? floatAttribute(after, "min", Number.NEGATIVE_INFINITY)
      : Number(
          (await constantValue(scope, rewriting, after.inputs[1], 1))?.data[0] ?? Number.NEGATIVE_INFINITY,
        );
  return low >= 0 ? { ...after, inputs: [before.inputs[0]!, ...after.inputs.slice(1)] } : null;
}
