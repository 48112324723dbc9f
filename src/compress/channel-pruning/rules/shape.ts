import type { NodeAxes, Rule, RuleTable } from "../rule.ts";
import { opaque, says } from "../rule.ts";
import { targetOf } from "./reshape.ts";

/** What moves or computes sizes on their way from a Shape to a Reshape. */
const ARITHMETIC: ReadonlySet<string> = new Set(
  "Slice Gather Concat Cast Squeeze Unsqueeze Identity Mul Div Add Sub Floor".split(" "),
);

/**
 * Sizes are computed when the model runs. Where they only steer Reshape nodes whose targets can be written out, those
 * are; anything else that reads them could go wrong, so the channels stay.
 */
const shape: Rule = (node) => {
  const axes = (node.axes(0) ?? []).filter((axis) => !node.channels.isFixed(axis));
  if (axes.length === 0) return [opaque(1)];
  const targets = reshapesOf(node);
  if (!targets) {
    node.fix(says(node.node, "gives their number to computations"), 0);
    return [opaque(1)];
  }
  for (const [target, list] of targets) {
    for (const axis of axes) node.counts({ place: { input: 1 }, list, entry: null, axis: axis! }, target);
  }
  return [opaque(1)];
};

function reshapesOf(shape: NodeAxes): [NodeAxes, readonly number[]][] | null {
  const found: [NodeAxes, readonly number[]][] = [];
  const seen = new Set<string>();
  const open = [...shape.node.outputs];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (name === "" || seen.has(name)) continue;
    seen.add(name);
    const users = shape.users(name);
    if (!users) return null;
    for (const { node, input } of users) {
      if (node.node.opType === "Reshape" && input === 1) {
        const [from, to] = [node.dims(0), node.outputDims(0)];
        const target = from && to && targetOf(node, from, to);
        if (!target?.computed) return null;
        found.push([node, target.list]);
      } else if (ARITHMETIC.has(node.node.opType)) open.push(...node.node.outputs);
      else return null;
    }
  }
  return found;
}

export const shapeRules: RuleTable = { Shape: shape };
