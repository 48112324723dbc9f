import { intAttribute } from "../../../onnx/edit.ts";
import { type NodeAxes, type Rule, type RuleTable, says } from "../rule.ts";

/** Per channel along axis 1, with vectors of that length. */
const perChannel: Rule = (node) => {
  const x = node.axis(0, 1);
  for (let input = 1; input < node.node.inputs.length; input++) {
    if (node.has(input))
      node.channels.tie(x, node.axis(input, 0), says(node.node, "has vectors of another size"));
  }
  for (const axis of node.axes(0)?.slice(2) ?? []) node.channels.fix(axis, over(node));
  return [node.axes(0)];
};

/** Every element depends on all channels along these axes. */
function normalized(from: (node: NodeAxes, rank: number) => readonly number[]): Rule {
  return (node) => {
    const x = node.axes(0);
    for (const axis of x ? from(node, x.length) : []) node.channels.fix(x?.[axis], over(node));
    for (let input = 1; input < node.node.inputs.length; input++) node.fix(over(node), input);
    return [x];
  };
}

function over(node: NodeAxes): string {
  return says(node.node, "normalises over the channels");
}

const fromAxis = (node: NodeAxes, rank: number) => {
  const given = intAttribute(node.node, "axis", -1);
  const start = given < 0 ? given + rank : given;
  return Array.from({ length: Math.max(0, rank - start) }, (_, i) => start + i);
};

const softmax = normalized((node, rank) => {
  const given = intAttribute(node.node, "axis", node.opset < 13 ? 1 : -1);
  const axis = given < 0 ? given + rank : given;
  // Before opset 13 the input is flattened to a matrix at the axis.
  return node.opset < 13 ? Array.from({ length: Math.max(0, rank - axis) }, (_, i) => axis + i) : [axis];
});

const oneAxis = normalized((node, rank) => {
  const given = intAttribute(node.node, "axis", -1);
  return [given < 0 ? given + rank : given];
});

const pastBatch = normalized((_, rank) => Array.from({ length: Math.max(0, rank - 1) }, (_, i) => i + 1));

export const normalizationRules: RuleTable = {
  BatchNormalization: perChannel,
  InstanceNormalization: perChannel,
  LayerNormalization: normalized(fromAxis),
  RMSNormalization: normalized(fromAxis),
  GroupNormalization: pastBatch,
  LRN: pastBatch,
  MeanVarianceNormalization: pastBatch,
  LpNormalization: oneAxis,
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,
};
