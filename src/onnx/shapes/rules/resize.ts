import type { Dim } from "../../model.ts";
import { axisOf } from "../dims.ts";
import type { Dims, Element } from "../facts.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

/** Computed in float32, as ONNX Runtime does, so that the floor falls the same way. */
function scaled(size: Dim, scale: Element): Dim {
  if (typeof size === "number" && typeof scale === "number") {
    return Math.floor(Math.fround(Math.fround(scale) * size));
  }
  return scale === 1 ? size : null;
}

/** Resize: (X, scales) in opset 10; (X, roi, scales, sizes) from 11; `axes` and the aspect policy from 18. */
const resize: Rule = (c) => {
  const x = c.dims(0);
  if (!x) return [tensor(c.type(0), null)];
  const [scalesAt, sizesAt] = c.opset < 11 ? [1, -1] : [2, 3];
  const axes = (c.ints("axes") ?? x.map((_, axis) => axis)).map((axis) => axisOf(axis, x.length) ?? -1);
  const sizes = sizesAt > 0 && c.has(sizesAt) ? c.elements(sizesAt) : undefined;
  const result: Dim[] = [...x];
  if (sizes !== undefined) {
    const fitted = sizes && keepAspect(c, x, axes, sizes);
    for (const [i, axis] of axes.entries()) if (axis >= 0) result[axis] = fitted?.[i] ?? null;
  } else {
    const scales = c.elements(scalesAt);
    for (const [i, axis] of axes.entries()) {
      if (axis >= 0) result[axis] = scaled(x[axis] ?? null, scales?.[i] ?? null);
    }
  }
  return [tensor(c.type(0), result)];
};

/** Sizes under keep_aspect_ratio_policy: one scale for all axes, the smallest or the largest of them. */
function keepAspect(
  c: RuleContext,
  x: Dims,
  axes: readonly number[],
  sizes: readonly Element[],
): readonly Element[] {
  const policy = c.string("keep_aspect_ratio_policy", "stretch");
  if (policy === "stretch") return sizes;
  const scales = axes.map((axis, i) => {
    const [size, wanted] = [x[axis], sizes[i]];
    return typeof size === "number" && typeof wanted === "number" ? wanted / size : Number.NaN;
  });
  const scale = policy === "not_larger" ? Math.min(...scales) : Math.max(...scales);
  return axes.map((axis) => {
    const size = x[axis];
    return typeof size === "number" && !Number.isNaN(scale) ? Math.floor(size * scale + 0.5) : null;
  });
}

/** Upsample: scales are an attribute in opset 7, an input in 9; Resize took its place in 10. */
const upsample: Rule = (c) => {
  const scales = c.has(1) ? c.elements(1) : c.floats("scales");
  return [tensor(c.type(0), c.dims(0)?.map((dim, axis) => scaled(dim, scales?.[axis] ?? null)) ?? null)];
};

const gridSample: Rule = (c) => {
  const x = c.dims(0);
  const grid = c.dims(1);
  const spatial = grid?.slice(1, -1) ?? x?.slice(2).map(() => null);
  return [tensor(c.type(0), spatial ? [x?.[0] ?? null, x?.[1] ?? null, ...spatial] : null)];
};

const affineGrid: Rule = (c) => {
  const size = c.elements(1);
  const rank = c.length(1);
  if (size) return [tensor(c.type(0), [size[0] ?? null, ...size.slice(2), size.length - 2])];
  return [
    tensor(c.type(0), rank === 4 ? [null, null, null, 2] : rank === 5 ? [null, null, null, null, 3] : null),
  ];
};

/** Sampling at other positions. */
export const resizeRules: RuleTable = {
  Resize: resize,
  Upsample: upsample,
  GridSample: gridSample,
  AffineGrid: affineGrid,
};
