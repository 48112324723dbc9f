import type { Dim } from "../../model.ts";
import {
  addDims,
  axisOf,
  broadcast,
  contradict,
  multiplyDims,
  product,
  solveReshape,
  unifyDims,
} from "../dims.ts";
import type { Dims, Element } from "../facts.ts";
import { isStatic, tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

/** Ranks beyond this are not followed: no operator of a real model comes near. */
const MAX_RANK = 32;

/** A shape given as a tensor: its elements, or as many unknown dimensions as it has elements. */
export function shapeFrom(c: RuleContext, index: number): Dims | null {
  const elements = c.elements(index);
  if (elements) return elements.length <= MAX_RANK ? elements : null;
  const rank = c.length(index);
  return typeof rank === "number" && rank <= MAX_RANK ? Array<null>(rank).fill(null) : null;
}

const reshape: Rule = (c) => {
  const target = c.has(1) ? shapeFrom(c, 1) : (c.ints("shape") ?? null);
  if (!target) return [tensor(c.type(0), null)];
  const source = c.dims(0);
  const copied =
    c.int("allowzero", 0) === 0 ? target.map((dim, i) => (dim === 0 ? (source?.[i] ?? null) : dim)) : target;
  // An unknown entry may be -1, so only what the source settles is taken from it.
  const dims = source
    ? solveReshape(source, copied, (multipleOf) =>
        c.contradiction("Reshape changes the number of elements", multipleOf),
      )
    : copied.map((dim) => (dim === -1 ? null : dim));
  return [tensor(c.type(0), dims)];
};

const transpose: Rule = (c) => {
  const dims = c.dims(0);
  const order = c.ints("perm") ?? dims?.map((_, axis) => dims.length - 1 - axis);
  return [tensor(c.type(0), dims && order ? order.map((axis) => dims[axis] ?? null) : null)];
};

const concat: Rule = (c) => {
  const shapes = Array.from({ length: c.inputCount }, (_, i) => c.dims(i));
  const known = shapes.find((dims) => dims !== null);
  const axis = known ? axisOf(c.int("axis", 1), known.length) : null;
  if (!known || axis === null) return [tensor(c.type(0), null)];
  const dims = known.map((_, at) => {
    if (at === axis) return shapes.reduce<Dim>((sum, shape) => addDims(sum, shape?.[at] ?? null), 0);
    return shapes.reduce<Dim>((dim, shape) => {
      if (contradict(dim, shape?.[at])) c.contradiction(`Concat's inputs differ along axis ${at}`);
      return unifyDims(dim, shape?.[at] ?? null);
    }, null);
  });
  return [tensor(c.type(0), dims)];
};

const split: Rule = (c) => {
  const dims = c.dims(0);
  const count = c.node.outputs.length;
  const axis = dims && axisOf(c.int("axis", 0), dims.length);
  if (!dims || axis === null) return Array.from({ length: count }, () => tensor(c.type(0), null));
  const sizes = c.integers("split", 1);
  const whole = dims[axis] ?? null;
  return Array.from({ length: count }, (_, i) => {
    const part = dims.map((dim, at) => (at === axis ? partSize(whole, count, i, sizes) : dim));
    return tensor(c.type(0), part);
  });
};

/** Equal parts where no sizes are given; the last one is smaller when they do not divide (opset 18). */
function partSize(
  whole: Dim,
  count: number,
  index: number,
  sizes: readonly Element[] | null | undefined,
): Dim {
  if (sizes !== undefined) return sizes?.[index] ?? null;
  if (count === 1) return whole;
  if (typeof whole !== "number") return null;
  const size = Math.ceil(whole / count);
  return Math.max(0, Math.min(size, whole - size * index));
}

const flatten: Rule = (c) => {
  const dims = c.dims(0);
  if (!dims) return [tensor(c.type(0), [null, null])];
  const axis = c.int("axis", 1);
  const at = axis < 0 ? axis + dims.length : axis;
  return [tensor(c.type(0), [product(dims.slice(0, at)), product(dims.slice(at))])];
};

const squeeze: Rule = (c) => {
  const dims = c.dims(0);
  const axes = c.integers("axes", 1);
  if (!dims) return [tensor(c.type(0), null)];
  if (axes === undefined) {
    return [tensor(c.type(0), isStatic(dims) ? dims.filter((dim) => dim !== 1) : null)];
  }
  if (!axes || !isStatic(axes)) return [tensor(c.type(0), null)];
  const gone = new Set(axes.map((axis) => axisOf(axis, dims.length)));
  for (const axis of gone) {
    if (axis !== null && contradict(dims[axis], 1))
      c.contradiction(`Squeeze of an axis of size ${dims[axis]}`);
  }
  return [
    tensor(
      c.type(0),
      dims.filter((_, axis) => !gone.has(axis)),
    ),
  ];
};

const unsqueeze: Rule = (c) => {
  const dims = c.dims(0);
  const axes = c.integers("axes", 1);
  if (!dims || !axes || !isStatic(axes)) {
    const added = axes ? axes.length : c.length(1);
    const rank = dims && typeof added === "number" && added <= MAX_RANK ? dims.length + added : null;
    return [tensor(c.type(0), rank === null ? null : Array<null>(rank).fill(null))];
  }
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((axis) => axisOf(axis, rank)));
  let next = 0;
  return [
    tensor(
      c.type(0),
      Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (dims[next++] ?? null))),
    ),
  ];
};

const expand: Rule = (c) => {
  const shape = shapeFrom(c, 1);
  const dims = broadcast([c.dims(0), shape], () => c.contradiction("Expand's shape does not fit its input"));
  return [tensor(c.type(0), dims)];
};

const tile: Rule = (c) => {
  const dims = c.dims(0);
  const repeats = c.elements(1);
  return [tensor(c.type(0), dims?.map((dim, axis) => multiplyDims(dim, repeats?.[axis] ?? null)) ?? null)];
};

/** Pads until opset 10 as an attribute ("pads", before that "paddings"), then an input; axes from opset 18. */
const pad: Rule = (c) => {
  const dims = c.dims(0);
  if (!dims) return [tensor(c.type(0), null)];
  const pads = c.integers("pads", 1) ?? c.ints("paddings");
  const axes = c.has(3) ? c.numbers(3) : dims.map((_, axis) => axis);
  if (!pads || !axes)
    return [
      tensor(
        c.type(0),
        dims.map(() => null),
      ),
    ];
  const result = [...dims];
  for (const [i, given] of axes.entries()) {
    const axis = axisOf(given, dims.length);
    if (axis === null) continue;
    const around = addDims(pads[i] ?? null, pads[i + axes.length] ?? null);
    result[axis] = addDims(dims[axis] ?? null, around);
  }
  return [tensor(c.type(0), result)];
};

const depthToSpace: Rule = (c) => {
  const dims = c.dims(0);
  const block = c.int("blocksize", 1);
  if (dims?.length !== 4) return [tensor(c.type(0), null)];
  const [n = null, channels = null, h = null, w = null] = dims;
  const deep = typeof channels === "number" ? channels / (block * block) : null;
  return [tensor(c.type(0), [n, deep, multiplyDims(h, block), multiplyDims(w, block)])];
};

const spaceToDepth: Rule = (c) => {
  const dims = c.dims(0);
  const block = c.int("blocksize", 1);
  if (dims?.length !== 4) return [tensor(c.type(0), null)];
  const [n = null, channels = null, h = null, w = null] = dims;
  const shrink = (dim: Dim) => (typeof dim === "number" ? Math.floor(dim / block) : block === 1 ? dim : null);
  return [tensor(c.type(0), [n, multiplyDims(channels, block * block), shrink(h), shrink(w)])];
};

const centerCropPad: Rule = (c) => {
  const dims = c.dims(0);
  const sizes = c.elements(1);
  const axes = c.ints("axes") ?? dims?.map((_, axis) => axis);
  if (!dims || !axes) return [tensor(c.type(0), null)];
  const result = [...dims];
  for (const [i, given] of axes.entries()) {
    const axis = axisOf(given, dims.length);
    if (axis !== null) result[axis] = sizes?.[i] ?? null;
  }
  return [tensor(c.type(0), result)];
};

/** Rearranges elements without computing with them. */
export const movementRules: RuleTable = {
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  CenterCropPad: centerCropPad,
};
