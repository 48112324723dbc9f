import { DataType } from "../../../onnx/data-type.ts";
import { floatAttribute, nodeOf } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/**
 * A clipped shift with a division, clip(x + b, 0, d) / d, is one HardSigmoid with α = 1/d and β = b/d. The division may
 * come after a product with something else, as in x · clip(x + 3, 0, 6) / 6, the hard swish of MobileNetV3.
 */
export const hardSigmoid: Pass = {
  name: "hard-sigmoid",
  opsets: [7, NEWEST_OPSET],
  operators: ["Clip"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (isStandard(node, "Clip") && (await rewrite(scope, rewriting, index, node))) changes++;
    }
    return changes;
  },
};

async function rewrite(scope: Scope, rewriting: Rewriting, index: number, clip: Node): Promise<boolean> {
  const [shifted, clipped] = [clip.inputs[0]!, clip.outputs[0]!];
  const bounds = await boundsOf(scope, rewriting, clip);
  const add = scope.producer(shifted);
  const shift = add === undefined ? undefined : scope.node(add);
  if (!bounds || !shift || !isStandard(shift, "Add") || !scope.feedsOnly(shifted, index)) return false;
  const [low, high] = bounds;
  const x = await otherOperand(scope, rewriting, shift);
  if (low !== 0 || !(high > 0) || !x) return false;
  const user = scope.soleUser(clipped);
  if (!user) return false;
  const product = isStandard(user.node, "Mul") && !(await scaleOf(scope, rewriting, user.node)) ? user : null;
  const last = product ? scope.soleUser(product.node.outputs[0]!) : user;
  const scale = last && (await scaleOf(scope, rewriting, last.node));
  if (!last || !scale || Math.abs(scale.factor * high - 1) > 1e-6) return false;
  const alpha = { type: "float" as const, value: 1 / high };
  const beta = { type: "float" as const, value: x.constant / high };
  const output = last.node.outputs[0]!;
  scope.remove(add!);
  scope.remove(last.index);
  const made = product ? clipped : output;
  scope.replace(index, { ...nodeOf("HardSigmoid", [x.name], [made], { alpha, beta }), name: clip.name });
  if (product) scope.replace(product.index, { ...product.node, outputs: [output] });
  return true;
}

/** Attributes up to opset 10, inputs from 11 on. */
async function boundsOf(
  scope: Scope,
  rewriting: Rewriting,
  clip: Node,
): Promise<readonly [number, number] | null> {
  if (rewriting.fact(scope, clip.inputs[0]!)?.dataType !== DataType.FLOAT) return null;
  if (rewriting.opset < 11) {
    const [low, high] = [floatAttribute(clip, "min", null), floatAttribute(clip, "max", null)];
    return low === null || high === null ? null : [low, high];
  }
  const low = await scalar(scope, rewriting, clip.inputs[1]);
  const high = await scalar(scope, rewriting, clip.inputs[2]);
  return low === null || high === null ? null : [low, high];
}

async function scalar(scope: Scope, rewriting: Rewriting, name: string | undefined): Promise<number | null> {
  const value = await constantValue(scope, rewriting, name, 1);
  return value?.dataType === DataType.FLOAT && value.data.length === 1 ? (value.data[0] as number) : null;
}

/** The operand beside a constant of one element that does not raise the rank. */
async function otherOperand(
  scope: Scope,
  rewriting: Rewriting,
  node: Node,
): Promise<{ readonly name: string; readonly constant: number } | null> {
  for (const [at, other] of [
    [1, 0],
    [0, 1],
  ] as const) {
    const name = node.inputs[other]!;
    const constant = await scalar(scope, rewriting, node.inputs[at]);
    const rank = rewriting.fact(scope, name)?.dims?.length;
    const own = scope.constant(node.inputs[at]!)?.dims.length ?? 0;
    if (constant !== null && (own === 0 || (rank !== undefined && own <= rank))) return { name, constant };
  }
  return null;
}

/** What a Mul or Div with a constant of one element multiplies by. */
async function scaleOf(
  scope: Scope,
  rewriting: Rewriting,
  node: Node,
): Promise<{ readonly factor: number } | null> {
  if (!isStandard(node, "Mul", "Div")) return null;
  const operand = await otherOperand(scope, rewriting, node);
  if (!operand) return null;
  if (node.opType === "Mul") return { factor: operand.constant };
  return operand.name === node.inputs[0] ? { factor: 1 / operand.constant } : null;
}
