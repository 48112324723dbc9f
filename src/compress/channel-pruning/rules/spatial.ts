import { floatsAttribute, intAttribute, intsAttribute, stringAttribute } from "../../../onnx/edit.ts";
import { type Axes, type Axis, MAX_AXIS } from "../channels.ts";
import { type NodeAxes, type Rule, type RuleTable, says } from "../rule.ts";

/** Batch and channels pass, the window slides over the rest. */
const pooling: Rule = (node) => [past(node, (axis) => axis < 2, says(node.node, "pools along the channels"))];

/** Axes for which `passes` is false are not followed further. */
function past(node: NodeAxes, passes: (axis: number) => boolean, reason: string): Axes | undefined {
  return node.axes(0)?.map((axis, at) => {
    if (passes(at)) return axis;
    node.channels.fix(axis, reason);
    return null;
  });
}

/** Axes that keep their size pass. */
const resize: Rule = (node) => {
  const x = node.axes(0);
  const { opset } = node;
  const rank = x?.length ?? 0;
  const only = intsAttribute(node.node, "axes", null)?.map((axis) => (axis < 0 ? axis + rank : axis)) ?? null;
  const scalesInput = node.node.opType === "Upsample" || opset < 11 ? 1 : 2;
  const scales = floatsAttribute(node.node, "scales", null) ?? node.numbers(scalesInput);
  const sizes = node.node.opType === "Resize" && node.has(3) && node.isStored(3) ? node.numbers(3) : null;
  const cropped = stringAttribute(node.node, "coordinate_transformation_mode", "") === "tf_crop_and_resize";
  const output = past(
    node,
    (axis) => {
      const at = only ? only.indexOf(axis) : axis;
      if (at < 0) return true;
      if (cropped) return false;
      const length = x?.[axis]?.length;
      if (node.has(3) && node.node.opType === "Resize") return sizes?.[at] === length;
      return scales?.[at] === 1;
    },
    says(node.node, "resizes the channels, or to a size that is computed"),
  );
  output?.forEach((axis, at) => {
    const entry = only ? only.indexOf(at) : at;
    if (sizes && axis && entry >= 0) node.counts({ place: { input: 3 }, list: sizes, entry, axis });
  });
  return [output];
};

/** What is added to the channels is new channels of one constant, as many as the pads say. */
const pad: Rule = (node) => {
  const x = node.axes(0);
  const rank = x?.length ?? 0;
  const old = node.opset < 11;
  const pads = old ? intsAttribute(node.node, "pads", null) : node.numbers(1);
  const axes = node.has(3) ? node.numbers(3) : Array.from({ length: rank }, (_, i) => i);
  if (!x || !pads || !axes || pads.length !== 2 * axes.length) {
    node.fix(says(node.node, "pads by sizes that are computed"), 0);
    return [x?.map(() => null)];
  }
  const { channels } = node;
  const output: Axis[] = [...x];
  axes.forEach((given, i) => {
    const at = given < 0 ? given + rank : given;
    const [before, after] = [pads[i]!, pads[i + axes.length]!];
    const axis = x[at];
    if (!axis || (before === 0 && after === 0)) return;
    const constant = stringAttribute(node.node, "mode", "constant") === "constant";
    if (!constant || before < 0 || after < 0 || !(old || node.isStored(1))) {
      channels.fix(axis, says(node.node, "pads the channels"));
      output[at] = null;
      return;
    }
    const added = [channels.fresh(before), channels.fresh(after)];
    if (!added[0] || !added[1] || before + after + axis.length > MAX_AXIS) {
      channels.fix(axis, says(node.node, "pads the channels by too many"));
      output[at] = null;
      return;
    }
    added.forEach((part, side) => {
      const place = old ? { attribute: "pads" } : { input: 1 };
      node.counts({ place, list: pads, entry: i + side * axes.length, axis: part! });
    });
    output[at] = Int32Array.from([...added[0], ...axis, ...added[1]]);
  });
  return [output];
};

/** The channel axis in blocks² parts, which become space: the same channel of all of them goes. */
const depthToSpace: Rule = (node) => {
  const x = node.axes(0);
  const block = intAttribute(node.node, "blocksize", 0);
  const parts = block * block;
  const axis = x?.[1];
  if (!x || !axis || parts < 1 || axis.length % parts !== 0) {
    node.fix(says(node.node, "moves channels into space"));
    return [];
  }
  const out = axis.length / parts;
  const columnsFirst = stringAttribute(node.node, "mode", "DCR") === "CRD";
  const firsts = new Int32Array(out);
  for (let i = axis.length - 1; i >= 0; i--) {
    const channel = columnsFirst ? Math.floor(i / parts) : i % out;
    node.channels.join(axis[i]!, axis[columnsFirst ? channel * parts : channel]!);
    firsts[channel] = axis[i]!;
  }
  return [x.map((one, at) => (at === 1 ? firsts : at === 0 ? one : null))];
};

export const spatialRules: RuleTable = {
  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,
  GlobalLpPool: pooling,
  Resize: resize,
  Upsample: resize,
  Pad: pad,
  DepthToSpace: depthToSpace,
};
