import { intAttribute, intsAttribute } from "../../../onnx/edit.ts";
import type { Axis } from "../channels.ts";
import { type Rule, type RuleTable, says } from "../rule.ts";

/** Reduced channels stay; the other axes pass. */
const reduce: Rule = (node) => {
  const x = node.axes(0);
  const rank = x?.length ?? 0;
  const keep = intAttribute(node.node, "keepdims", 1) !== 0;
  const given = node.has(1) ? node.numbers(1) : intsAttribute(node.node, "axes", []);
  if (!x || !given) {
    node.fix(says(node.node, "reduces axes that are not known"));
    return [];
  }
  const none = given.length === 0;
  if (none && intAttribute(node.node, "noop_with_empty_axes", 0) !== 0) return [x];
  const reduced = new Set(given.map((axis) => (axis < 0 ? axis + rank : axis)));
  const output = x.flatMap((axis, at): Axis[] => {
    if (!none && !reduced.has(at)) return [axis];
    node.channels.fix(axis, says(node.node, "computes over all channels"));
    return keep ? [null] : [];
  });
  return [output];
};

export const reductionRules: RuleTable = Object.fromEntries(
  "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
    .split(" ")
    .map((name) => [`Reduce${name}`, reduce]),
);
