import { DataType } from "../../../onnx/data-type.ts";
import { intAttribute } from "../../../onnx/edit.ts";
import { compactTensor } from "../derived.ts";
import { type Fact, isStandard, NEWEST_OPSET, type Pass } from "../pass.ts";

/**
 * A Reshape to a target that is computed from shapes needs no computing when at most one of its sizes is not known
 * beforehand: that one is −1, what is left. With more of them, a size that stays on its axis is 0, a copy.
 */
export const reshapeTargets: Pass = {
  name: "reshape-targets",
  opsets: [7, NEWEST_OPSET],
  operators: ["Reshape"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      const [data, shape] = node.inputs;
      if (!isStandard(node, "Reshape") || !data || !shape || scope.constant(shape)) continue;
      const fact = rewriting.fact(scope, shape);
      const target = targetOf(fact, rewriting.fact(scope, data), intAttribute(node, "allowzero", 0) !== 0);
      if (!target) continue;
      const name = rewriting.fresh(`${shape}_folded`);
      const value = {
        dataType: DataType.INT64,
        dims: [target.length],
        data: BigInt64Array.from(target, BigInt),
      };
      scope.addInitializer(compactTensor(name, value));
      scope.replace(index, { ...node, inputs: [data, name] });
      changes++;
    }
    return changes;
  },
};

function targetOf(shape: Fact | undefined, data: Fact | undefined, zeroIsZero: boolean): number[] | null {
  const elements = shape?.elements;
  if (!elements || elements.some((element) => typeof element === "number" && element < 1)) return null;
  const target = elements.map((element, axis) => {
    if (typeof element === "number") return element;
    // Only the very size of this axis of the data is sure to be equal.
    return element !== null && !zeroIsZero && data?.dims?.[axis] === element ? 0 : -1;
  });
  const open = target.filter((size) => size === -1).length;
  if (open > 1) return null;
  // One size that is not known is what is left, whether or not it is copied.
  if (elements.filter((element) => typeof element !== "number").length === 1) {
    return elements.map((element) => (typeof element === "number" ? element : -1));
  }
  return target;
}
