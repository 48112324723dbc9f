import { sliceRange } from "../../constant/indexing.ts";
import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { axisOf } from "../dims.ts";
import type { Element } from "../facts.ts";
import { isStatic, tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

/** Indices at or past this mean "to the end": exporters write INT32_MAX or INT64_MAX. */
const END = 2 ** 31 - 1;

/** Slice: starts, ends and axes are attributes until opset 9, then inputs 1 to 4. */
const slice: Rule = (c) => {
  const dims = c.dims(0);
  if (!dims) return [tensor(c.type(0), null)];
  const starts = c.integers("starts", 1);
  const ends = c.integers("ends", 2);
  const axes = c.integers("axes", 3);
  const steps = c.has(4) ? c.elements(4) : undefined;
  if (axes === null || (axes && !isStatic(axes)))
    return [
      tensor(
        c.type(0),
        dims.map(() => null),
      ),
    ];
  const length = starts?.length ?? c.length(1);
  const given = axes ?? (typeof length === "number" ? dims.slice(0, length).map((_, axis) => axis) : null);
  if (!given)
    return [
      tensor(
        c.type(0),
        dims.map(() => null),
      ),
    ];
  const result = [...dims];
  for (const [i, raw] of given.entries()) {
    const axis = typeof raw === "number" ? axisOf(raw, dims.length) : null;
    if (axis === null) continue;
    const step = steps === undefined ? 1 : (steps?.[i] ?? null);
    result[axis] = sliceSize(dims[axis] ?? null, starts?.[i] ?? null, ends?.[i] ?? null, step);
  }
  return [tensor(c.type(0), result)];
};

/** Elements that start:end:step takes of `size`. */
export function sliceSize(size: Dim, start: Element, end: Element, step: Element): Dim {
  if (typeof step !== "number" || step === 0) return null;
  if (start === 0 && step === 1 && end === size) return size;
  if (typeof start !== "number" || (typeof end !== "number" && end !== size)) return null;
  if (typeof size !== "number") return sliceOfUnknown(size, start, end, step);
  if (typeof end !== "number") return null;
  return sliceRange(size, start, end, step).count;
}

function sliceOfUnknown(size: Dim, start: number, end: Element, step: number): Dim {
  const whole = typeof end === "number" && end >= END;
  if (start === 0 && whole && step === 1) return size;
  if (step === -1 && (start === -1 || start >= END) && typeof end === "number" && end <= -END) return size;
  return null;
}

const gather: Rule = (c) => {
  const data = c.dims(0);
  const indices = c.dims(1);
  const axis = data && axisOf(c.int("axis", 0), data.length);
  if (!data || !indices || axis === null) return [tensor(c.type(0), null)];
  return [tensor(c.type(0), [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)])];
};

const gatherND: Rule = (c) => {
  const data = c.dims(0);
  const indices = c.dims(1);
  const depth = indices?.at(-1);
  const batch = c.int("batch_dims", 0);
  if (!data || !indices || typeof depth !== "number") return [tensor(c.type(0), null)];
  return [tensor(c.type(0), [...indices.slice(0, -1), ...data.slice(batch + depth)])];
};

const compress: Rule = (c) => {
  const data = c.dims(0);
  const condition = c.numbers(1);
  const axis = c.int("axis");
  const kept = condition ? condition.filter((flag) => flag !== 0).length : null;
  if (axis === undefined) return [tensor(c.type(0), [kept])];
  const at = data && axisOf(axis, data.length);
  return [tensor(c.type(0), data?.map((dim, i) => (i === at ? kept : dim)) ?? null)];
};

/** k is an attribute in opset 1 and an input from opset 10. */
const topK: Rule = (c) => {
  const data = c.dims(0);
  const at = data && axisOf(c.int("axis", -1), data.length);
  const k: Dim = c.has(1) ? (c.elements(1)?.[0] ?? null) : (c.int("k") ?? null);
  const dims = data?.map((dim, i) => (i === at ? k : dim)) ?? null;
  return [tensor(c.type(0), dims), tensor(DataType.INT64, dims)];
};

const nonZero: Rule = (c) => [tensor(DataType.INT64, [c.dims(0)?.length ?? null, null])];

const unique: Rule = (c) => {
  const data = c.dims(0);
  const axis = c.int("axis");
  const at = axis === undefined ? null : data && axisOf(axis, data.length);
  const values = axis === undefined ? [null] : (data?.map((dim, i) => (i === at ? null : dim)) ?? null);
  const list = tensor(DataType.INT64, [null]);
  return [tensor(c.type(0), values), list, list, list];
};

const oneHot: Rule = (c) => {
  const indices = c.dims(0);
  const depth = c.elements(1)?.[0] ?? null;
  if (!indices) return [tensor(c.type(2), null)];
  const axis = axisOf(c.int("axis", -1), indices.length + 1) ?? indices.length;
  return [tensor(c.type(2), [...indices.slice(0, axis), depth, ...indices.slice(axis)])];
};

/** Picks elements by position or by value. */
export const indexingRules: RuleTable = {
  Slice: slice,
  Gather: gather,
  GatherElements: (c) => [tensor(c.type(0), c.dims(1))],
  GatherND: gatherND,
  Compress: compress,
  TopK: topK,
  NonZero: nonZero,
  Unique: unique,
  OneHot: oneHot,
  NonMaxSuppression: () => [tensor(DataType.INT64, [null, 3])],
};
