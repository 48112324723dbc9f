import { intAttribute, intsAttribute } from "../../../onnx/edit.ts";
import { type Axis, MAX_AXIS } from "../channels.ts";
import { type NodeAxes, type Rule, type RuleTable, says } from "../rule.ts";

const transpose: Rule = (node) => {
  const x = node.axes(0);
  const order = intsAttribute(node.node, "perm", null) ?? x?.map((_, i) => x.length - 1 - i);
  return [x && order?.map((axis) => x[axis] ?? null)];
};

/** Integers that newer opsets take as an input and older ones as an attribute; undefined: not given. */
function integers(node: NodeAxes, name: string, input: number): readonly number[] | null | undefined {
  return node.has(input) ? node.numbers(input) : (intsAttribute(node.node, name, undefined) ?? undefined);
}

const squeeze: Rule = (node) => {
  const x = node.axes(0);
  const axes = integers(node, "axes", 1);
  if (!x || axes === null || axes === undefined) {
    node.fix(says(node.node, "takes away axes that are not known"));
    return [];
  }
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + x.length : axis)));
  return [
    x.filter((axis, at) => {
      if (gone.has(at)) node.channels.fix(axis, says(node.node, "takes the channel axis away"));
      return !gone.has(at);
    }),
  ];
};

const unsqueeze: Rule = (node) => {
  const x = node.axes(0);
  const axes = integers(node, "axes", 1);
  if (!x || !axes) {
    node.fix(says(node.node, "adds axes that are not known"));
    return [];
  }
  const rank = x.length + axes.length;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  let next = 0;
  return [Array.from({ length: rank }, (_, at): Axis => (added.has(at) ? null : (x[next++] ?? null)))];
};

const concat: Rule = (node) => {
  const parts = node.node.inputs.map((_, input) => node.axes(input));
  const rank = parts.find((axes) => axes)?.length ?? 0;
  if (rank === 0 || parts.some((axes) => axes?.length !== rank)) {
    node.fix(says(node.node, "joins something that cannot be followed"));
    return [];
  }
  const given = intAttribute(node.node, "axis", 1);
  const along = given < 0 ? given + rank : given;
  const output = Array.from({ length: rank }, (_, at): Axis => {
    const axes = parts.map((part) => part![at]!);
    if (at === along) return joined(node, axes);
    for (const axis of axes.slice(1)) {
      node.channels.tie(axes[0], axis, says(node.node, "joins something that cannot be followed"));
    }
    return axes[0]!;
  });
  return [output];
};

/** Axes one after the other; what is not followed has its place, and stays. */
function joined(node: NodeAxes, axes: readonly Axis[]): Axis {
  if (axes.every((axis) => axis === null)) return null;
  const given = intAttribute(node.node, "axis", 1);
  const parts = axes.map((axis, input) => {
    if (axis) return axis;
    const size = node.dims(input)?.at(given);
    if (typeof size !== "number") return null;
    const stays = node.channels.fresh(size);
    node.channels.fix(stays, says(node.node, "joins something that cannot be followed"));
    return stays;
  });
  if (parts.some((part) => part === null)) {
    for (const axis of axes) node.channels.fix(axis, says(node.node, "joins an axis of unknown size"));
    return null;
  }
  if (parts.reduce((sum, part) => sum + part!.length, 0) > MAX_AXIS) {
    for (const axis of axes) node.channels.fix(axis, says(node.node, "joins too many channels"));
    return null;
  }
  return Int32Array.from(parts.flatMap((part) => [...part!]));
}

const split: Rule = (node) => {
  const x = node.axes(0);
  const given = intAttribute(node.node, "axis", 0);
  const along = given < 0 ? given + (x?.length ?? 0) : given;
  const axis = x?.[along] ?? null;
  const outputs = node.node.outputs.length;
  if (!x) return [];
  const asInput = node.opset >= 13;
  const stated = integers(node, "split", 1);
  const equal = axis ? Math.ceil(axis.length / outputs) : 0;
  const sizes =
    stated === undefined
      ? node.node.outputs.map((_, i) => Math.min(equal, (axis?.length ?? 0) - i * equal))
      : stated;
  const fits =
    axis &&
    sizes &&
    (stated === undefined || !node.has(1) || node.isStored(1)) &&
    sizes.length === outputs &&
    sizes.every((size) => size > 0) &&
    sizes.reduce((sum, size) => sum + size, 0) === axis.length;
  if (axis && !fits)
    node.channels.fix(axis, says(node.node, "splits the channels at places that are not known"));
  let start = 0;
  return node.node.outputs.map((_, i) => {
    let part: Axis = null;
    if (fits) {
      part = axis.slice(start, start + sizes[i]!);
      start += sizes[i]!;
      const place = asInput ? { input: 1 } : { attribute: "split" };
      node.counts({ place, list: sizes, entry: i, axis: part });
    }
    return x.map((one, at) => (at === along ? part : one));
  });
};

const slice: Rule = (node) => {
  const x = node.axes(0);
  if (!x) return [];
  const old = node.opset < 10;
  const starts = old ? intsAttribute(node.node, "starts", null) : node.numbers(1);
  const ends = old ? intsAttribute(node.node, "ends", null) : node.numbers(2);
  const axes = integers(node, "axes", 3) ?? (node.has(3) ? null : starts?.map((_, i) => i));
  const steps = node.has(4) ? node.numbers(4) : starts?.map(() => 1);
  if (!starts || !ends || !axes || !steps) {
    node.fix(says(node.node, "takes a part that is computed"), 0);
    return [x.map(() => null)];
  }
  const stored = old || (node.isStored(1) && node.isStored(2));
  const output: Axis[] = [...x];
  axes.forEach((given, i) => {
    const at = given < 0 ? given + x.length : given;
    const axis = x[at];
    if (!axis) return;
    const clamp = (place: number) =>
      Math.min(axis.length, Math.max(0, place < 0 ? place + axis.length : place));
    const [start, end] = [clamp(starts[i]!), clamp(ends[i]!)];
    if (steps[i] !== 1 || !stored || end <= start) {
      node.channels.fix(axis, says(node.node, "takes some of the channels"));
      output[at] = null;
      return;
    }
    output[at] = axis.slice(start, end);
    const written = (list: readonly number[], place: number) => list.map((one, j) => (j === i ? place : one));
    for (const [input, name, list, place] of [
      [1, "starts", starts, start],
      [2, "ends", ends, end],
    ] as const) {
      node.counts({
        place: old ? { attribute: name } : { input },
        list: written(list, place),
        entry: i,
        axis: axis.slice(0, place),
      });
    }
  });
  return [output];
};

/** Rows that are looked up stay; the other axes of the table pass. */
const gather: Rule = (node) => {
  const [x, indices] = [node.axes(0), node.axes(1)];
  if (!x || !indices) {
    node.fix(says(node.node, "looks something up that cannot be followed"));
    return [];
  }
  const given = intAttribute(node.node, "axis", 0);
  const along = given < 0 ? given + x.length : given;
  node.channels.fix(x[along], says(node.node, "looks up channels by their number"));
  node.fix(says(node.node, "looks up channels by their number"), 1);
  return [[...x.slice(0, along), ...indices.map(() => null), ...x.slice(along + 1)]];
};

const expand: Rule = (node) => {
  const x = node.axes(0);
  const target = node.numbers(1);
  if (!x || !target || x.every((axis) => axis === null)) {
    node.fix(says(node.node, "has a shape that is computed"), 0);
    const rank = node.outputDims(0)?.length;
    return [rank === undefined ? undefined : new Array<Axis>(rank).fill(null)];
  }
  const rank = Math.max(x.length, target.length);
  return [
    Array.from({ length: rank }, (_, at): Axis => {
      const axis = x[at - rank + x.length] ?? null;
      const entry = at - rank + target.length;
      const size = target[entry] ?? 1;
      if (!axis || axis.length === 1) return null;
      if (size === 1) return axis;
      if (!node.isStored(1)) {
        node.channels.fix(axis, says(node.node, "has a shape that is computed"));
        return null;
      }
      node.counts({ place: { input: 1 }, list: target, entry, axis });
      return axis;
    }),
  ];
};

export const movementRules: RuleTable = {
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Expand: expand,
};
