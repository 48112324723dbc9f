import type { Dim } from "../../../onnx/model.ts";
import type { Axes, Axis } from "../channels.ts";
import { type NodeAxes, type Rule, type RuleTable, says } from "../rule.ts";

/** Values that are broadcast against each other: axes that line up have the same channels. */
export function broadcast(
  node: NodeAxes,
  values: readonly { readonly axes: Axes | undefined; readonly dims: readonly Dim[] | undefined }[],
): Axes | undefined {
  const reason = says(node.node, "meets something that cannot be followed");
  if (values.some(({ axes }) => axes === undefined)) {
    for (const { axes } of values) for (const axis of axes ?? []) node.channels.fix(axis, reason);
    return undefined;
  }
  const rank = values.reduce((most, { axes }) => Math.max(most, axes!.length), 0);
  const output: Axis[] = [];
  for (let fromEnd = rank; fromEnd >= 1; fromEnd--) {
    let joined: Axis = null;
    let unknown = false;
    for (const { axes, dims } of values) {
      const at = axes!.length - fromEnd;
      if (at < 0) continue;
      const axis = axes![at]!;
      // A single index is repeated along the axis.
      if (axis ? axis.length === 1 : dims?.[at] === 1) continue;
      if (axis === null) unknown = true;
      else if (joined === null) joined = axis;
      else node.channels.tie(joined, axis, says(node.node, "joins axes of different sizes"));
    }
    if (joined && unknown) node.channels.fix(joined, reason);
    output.push(joined);
  }
  return output;
}

/** Every output element depends on the input elements at its own place. */
export const pointwise: Rule = (node) => {
  const values = node.node.inputs.flatMap((name, input) =>
    name === "" ? [] : [{ axes: node.axes(input), dims: node.dims(input) }],
  );
  return [broadcast(node, values)];
};

/** The first input decides; the others (bounds, ratios, seeds) are scalars. */
const first: Rule = (node) => [node.axes(0)];

const FIRST =
  "Relu LeakyRelu Sigmoid Tanh Clip HardSigmoid HardSwish Elu Selu Celu Softplus Softsign Erf Gelu Mish Swish Exp Log Sqrt Abs Neg " +
  "Reciprocal Floor Ceil Round Sign Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Not IsNaN IsInf ThresholdedRelu " +
  "Shrink Cast Identity Dropout";

const POINTWISE =
  "Add Sub Mul Div Pow Max Min Mean Sum Where Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Mod PRelu";

export const elementwiseRules: RuleTable = {
  ...Object.fromEntries(FIRST.split(" ").map((op) => [op, first])),
  ...Object.fromEntries(POINTWISE.split(" ").map((op) => [op, pointwise])),
};
