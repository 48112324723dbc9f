import { intAttribute } from "../../../onnx/edit.ts";
import { type Axes, type Axis, MAX_AXIS } from "../channels.ts";
import { type NodeAxes, opaque, type Rule, type RuleTable, says } from "../rule.ts";
import { broadcast } from "./elementwise.ts";

/** Conv, weight [out, in/groups, kernel…]. */
const convolution: Rule = (node) => {
  const w = node.axes(1);
  const groups = intAttribute(node.node, "group", 1);
  const reason = says(node.node, "has a weight or input that cannot be followed");
  const [out, into] = [w?.[0] ?? null, w?.[1] ?? null];
  const x = node.axis(0, 1) ?? null;
  if (groups === 1 || !out || !into) {
    node.channels.tie(x, groups === 1 ? into : null, reason);
    if (groups !== 1) node.channels.fix(out, reason);
    return convolved(node, out);
  }
  const [each, of] = [into.length, out.length / groups];
  if (!Number.isInteger(of) || !x || x.length !== each * groups) {
    for (const axis of [x, out, into]) node.channels.fix(axis, reason);
  } else if (each === 1) {
    depthwise(node, x, out, of);
  } else {
    byPosition(node, x, each);
    for (let i = 0; i < x.length; i++) node.channels.join(x[i]!, into[i % each]!);
    byPosition(node, out, of);
  }
  return convolved(node, out);
};

/** ConvTranspose, weight [in, out/groups, kernel…]. */
const transposed: Rule = (node) => {
  const w = node.axes(1);
  const groups = intAttribute(node.node, "group", 1);
  const reason = says(node.node, "has a weight or input that cannot be followed");
  const [into, out] = [w?.[0] ?? null, w?.[1] ?? null];
  const x = node.axis(0, 1) ?? null;
  node.channels.tie(x, into, reason);
  if (groups === 1 || !into || !out) {
    if (groups !== 1) node.channels.fix(out, reason);
    return convolved(node, groups === 1 ? out : null);
  }
  const each = into.length / groups;
  if (!x || !Number.isInteger(each)) {
    node.channels.fix(out, reason);
    node.channels.fix(into, reason);
    return convolved(node, null);
  }
  if (out.length === 1) {
    const first = into.filter((_, i) => i % each === 0);
    depthwise(node, first, into, each);
    return convolved(node, first);
  }
  byPosition(node, into, each);
  if (out.length * groups > MAX_AXIS) {
    node.channels.fix(out, reason);
    return convolved(node, null);
  }
  const all = new Int32Array(out.length * groups);
  for (let i = 0; i < all.length; i++) all[i] = out[i % out.length]!;
  return convolved(node, all);
};

/** A group has one channel on one side and `multiplier` on the other; whole groups go. */
function depthwise(node: NodeAxes, one: Int32Array, many: Int32Array, multiplier: number): void {
  for (let i = 0; i < many.length; i++) node.channels.join(many[i]!, one[Math.floor(i / multiplier)]!);
  node.counts({ place: { attribute: "group" }, list: [one.length], entry: 0, axis: one });
}

/** Groups of several channels stay, each with equally many: the same position goes from all of them. */
function byPosition(node: NodeAxes, axis: Int32Array, each: number): void {
  for (let i = each; i < axis.length; i++) node.channels.join(axis[i]!, axis[i % each]!);
}

function convolved(node: NodeAxes, out: Axis): readonly (Axes | undefined)[] {
  const x = node.axes(0);
  if (node.has(2)) node.channels.tie(out, node.axis(2, 0), says(node.node, "has a bias of another size"));
  for (const axis of x?.slice(2) ?? []) node.channels.fix(axis, says(node.node, "slides along the channels"));
  const rank = x?.length ?? node.outputDims(0)?.length ?? node.axes(1)?.length;
  return [
    rank === undefined
      ? undefined
      : opaque(rank).map((_, i) => (i === 1 ? out : i === 0 ? (x?.[0] ?? null) : null)),
  ];
}

const gemm: Rule = (node) => {
  const [a, b] = [node.axes(0), node.axes(1)];
  if (a?.length !== 2 || b?.length !== 2) return unfollowed(node);
  const left = intAttribute(node.node, "transA", 0) !== 0 ? [a[1]!, a[0]!] : a;
  const right = intAttribute(node.node, "transB", 0) !== 0 ? [b[1]!, b[0]!] : b;
  contract(node, left[1]!, right[0]!);
  const product = [left[0]!, right[1]!];
  if (!node.has(2)) return [product];
  return [
    broadcast(node, [
      { axes: product, dims: node.outputDims(0) },
      { axes: node.axes(2), dims: node.dims(2) },
    ]),
  ];
};

const matmul: Rule = (node) => {
  const [a, b] = [node.axes(0), node.axes(1)];
  if (!a || !b || a.length < 2 || b.length < 2) return unfollowed(node);
  contract(node, a.at(-1)!, b.at(-2)!);
  const batch = broadcast(node, [
    { axes: a.slice(0, -2), dims: node.dims(0)?.slice(0, -2) },
    { axes: b.slice(0, -2), dims: node.dims(1)?.slice(0, -2) },
  ]);
  return [[...(batch ?? []), a.at(-2)!, b.at(-1)!]];
};

function contract(node: NodeAxes, a: Axis, b: Axis): void {
  node.channels.tie(a, b, says(node.node, "multiplies what cannot be followed"));
}

function unfollowed(node: NodeAxes): readonly undefined[] {
  node.fix(says(node.node, "has inputs of a rank that cannot be followed"));
  return [];
}

export const linearRules: RuleTable = {
  Conv: convolution,
  ConvTranspose: transposed,
  Gemm: gemm,
  MatMul: matmul,
};
