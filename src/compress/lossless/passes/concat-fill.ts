import { DataType } from "../../../onnx/data-type.ts";
import { intAttribute, nodeOf, tensorAttribute } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import { compactTensor } from "../derived.ts";
import { constantIntegers, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/**
 * A tensor joined with a constant filling (TensorFlow Lite's way to add channels to a shortcut) is a Pad: the node
 * that makes the filling goes. Only where every user of the filling can be rewritten so. From opset 11 on, where pads
 * are an input.
 */
export const concatFill: Pass = {
  name: "concat-fill",
  opsets: [11, NEWEST_OPSET],
  operators: ["ConstantOfShape"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "ConstantOfShape")) continue;
      const [filling] = node.outputs;
      const dims = await constantIntegers(scope, rewriting, node.inputs[0]);
      if (!filling || !dims || scope.isOutput(filling) || !(await isZeroFill(node, rewriting))) continue;
      const users = [...scope.uses(filling)];
      const pads = users.map((user) => padFor(scope, rewriting, user, filling, dims));
      if (users.length === 0 || pads.includes(null)) continue;
      for (const [i, user] of users.entries()) {
        const { data, margins } = pads[i]!;
        const name = rewriting.fresh(`${filling}_pads`);
        const value = {
          dataType: DataType.INT64,
          dims: [margins.length],
          data: BigInt64Array.from(margins, BigInt),
        };
        scope.addInitializer(compactTensor(name, value));
        const concat = scope.node(user)!;
        scope.replace(user, { ...nodeOf("Pad", [data, name], concat.outputs), name: concat.name });
      }
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

/** Float zeros: what Pad fills in when it is not told a value. */
async function isZeroFill(node: Node, rewriting: Rewriting): Promise<boolean> {
  const fill = tensorAttribute(node, "value");
  if (!fill) return true;
  const value = await rewriting.read(fill, 1);
  return value?.dataType === DataType.FLOAT && Object.is(value.data[0], 0);
}

/** The Pad that does what the Concat does with the filling at one of its two ends. */
function padFor(
  scope: Scope,
  rewriting: Rewriting,
  user: number,
  filling: string,
  dims: readonly number[],
): { data: string; margins: number[] } | null {
  const node = scope.node(user)!;
  const [first, second] = node.inputs;
  if (!isStandard(node, "Concat") || node.inputs.length !== 2 || first === second) return null;
  const data = first === filling ? second : second === filling ? first : undefined;
  const given = intAttribute(node, "axis", 0);
  const axis = given < 0 ? given + dims.length : given;
  // A filling that does not fit its partner is an error of the Concat, which a Pad would hide.
  const other = data ? rewriting.fact(scope, data)?.dims : undefined;
  if (!data || !other || other.length !== dims.length || dims[axis] === undefined) return null;
  if (other.some((size, i) => i !== axis && typeof size === "number" && size !== dims[i])) return null;
  const margins = new Array<number>(2 * dims.length).fill(0);
  margins[first === filling ? axis : dims.length + axis] = dims[axis];
  return { data, margins };
}
