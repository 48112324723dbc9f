import type { Attribute, Node } from "../../../onnx/model.ts";
import { isRandom } from "../../../onnx/random.ts";
import { inStandardDomain, isStandard, NEWEST_OPSET, type Pass } from "../pass.ts";

/** Two nodes that compute the same from the same: the second one's users use the first one's outputs. */
export const commonSubexpressions: Pass = {
  name: "common-subexpressions",
  exact: true,
  opsets: [7, NEWEST_OPSET],
  async run(scope) {
    const seen = new Map<string, number>();
    let changes = 0;
    for (const [index] of scope.nodes()) {
      const node = scope.node(index)!;
      const key = keyOf(node);
      if (key === null) continue;
      const before = seen.get(key);
      const earlier = before === undefined ? undefined : scope.node(before);
      if (before === undefined || !earlier) {
        seen.set(key, index);
        continue;
      }
      // The later one's outputs go, so none of them may be an output of the graph.
      if (node.outputs.some((name) => name && scope.isOutput(name))) continue;
      if (node.outputs.some((name, i) => name && !earlier.outputs[i] && scope.isUsed(name))) continue;
      const redirected = node.outputs.every(
        (name, i) => !name || !earlier.outputs[i] || scope.redirect(name, earlier.outputs[i]),
      );
      if (!redirected) continue;
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

/** Equal for nodes that compute the same; null for those that are not compared. */
function keyOf(node: Node): string | null {
  if (!inStandardDomain(node) || isRandom(node)) return null;
  if (isStandard(node, "Dropout", "Constant", "If", "Loop", "Scan", "SequenceMap")) return null;
  const attributes = node.attributes.map(attributeKey);
  if (attributes.includes(null)) return null;
  return JSON.stringify([node.opType, node.inputs, attributes.sort()]);
}

function attributeKey({ name, value, refAttrName }: Attribute): string | null {
  if (refAttrName || value.type === "opaque" || value.type.startsWith("graph")) return null;
  if (value.type.startsWith("tensor") || value.type.startsWith("sparse")) return null;
  const values = Array.isArray(value.value) ? value.value : [value.value];
  // Integers past 2^53 were rounded on reading: two that look equal may not be.
  if (value.type.startsWith("int") && !values.every(Number.isSafeInteger)) return null;
  return JSON.stringify([
    name,
    value.type,
    values.map((each) => (Object.is(each, -0) ? "-0" : String(each))),
  ]);
}
