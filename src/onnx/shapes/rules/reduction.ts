import { DataType } from "../../data-type.ts";
import { axisOf } from "../dims.ts";
import type { Dims } from "../facts.ts";
import { isStatic, tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

/** `dims` without the axes, or with 1 in their place. */
function reduced(dims: Dims, axes: readonly number[], keep: boolean): Dims {
  const gone = new Set(axes.map((axis) => axisOf(axis, dims.length)));
  return dims.flatMap((dim, axis) => (gone.has(axis) ? (keep ? [1] : []) : [dim]));
}

/** ReduceX: axes are an attribute until opset 17 (ReduceSum: 12), then an input. */
function reducedDims(c: RuleContext): Dims | null {
  const dims = c.dims(0);
  if (!dims) return null;
  const keep = c.int("keepdims", 1) !== 0;
  const axes = c.integers("axes", 1);
  if (axes === undefined || axes?.length === 0) {
    if (c.int("noop_with_empty_axes", 0) !== 0) return dims;
    return keep ? dims.map(() => 1) : [];
  }
  if (axes && isStatic(axes)) return reduced(dims, axes, keep);
  if (keep) return dims.map(() => null);
  const count = axes?.length ?? c.length(1);
  return typeof count === "number" && count > 0 && count <= dims.length
    ? dims.slice(count).map(() => null)
    : null;
}

const reduce: Rule = (c) => [tensor(c.type(0), reducedDims(c))];

const argument: Rule = (c) => {
  const dims = c.dims(0);
  return [tensor(DataType.INT64, dims && reduced(dims, [c.int("axis", 0)], c.int("keepdims", 1) !== 0))];
};

/** Reductions over axes. */
export const reductionRules: RuleTable = {
  ...Object.fromEntries(
    "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
      .split(" ")
      .map((name) => [`Reduce${name}`, reduce]),
  ),
  ArgMax: argument,
  ArgMin: argument,
};
