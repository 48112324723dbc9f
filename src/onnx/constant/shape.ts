import { DataType } from "../data-type.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import {
  allocate,
  axisIn,
  broadcastDims,
  broadcastTo,
  checkedDims,
  int64,
  integers,
  need,
} from "./values.ts";

/** Operators that ask for a shape or change only the shape. */
export const shapeOperators: Evaluators = {
  /** Opset 1; `start` and `end` since 15. */
  Shape: (call) => {
    const { dims } = call.input(0);
    const rank = dims.length;
    const clamp = (axis: number) => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
    const kept = dims.slice(clamp(call.int("start", 0)), clamp(call.int("end", rank)));
    return [int64([kept.length], kept)];
  },
  Size: (call) => [int64([], [elementCount(call.input(0).dims)])],
  Identity: (call) => [call.input(0)],
  /** The shape is an input since opset 5. */
  Reshape: (call) => {
    const source = call.input(0);
    const shape = integers(call.input(1));
    const zeroIsZero = call.int("allowzero", 0) !== 0;
    const dims = shape.map((size, axis) => {
      if (size !== 0 || zeroIsZero) return size;
      need(axis < source.dims.length, "0 past the rank");
      return source.dims[axis]!;
    });
    return [reshaped(source, inferOne(dims, elementCount(source.dims)))];
  },
  Flatten: (call) => {
    const source = call.input(0);
    const rank = source.dims.length;
    const axis = call.int("axis", 1);
    const split = axis === rank ? rank : axisIn(axis, Math.max(rank, 1));
    return [
      reshaped(source, [elementCount(source.dims.slice(0, split)), elementCount(source.dims.slice(split))]),
    ];
  },
  Squeeze: (call) => {
    const source = call.input(0);
    const rank = source.dims.length;
    const axes = axesOf(call)?.map((axis) => axisIn(axis, rank));
    for (const axis of axes ?? []) need(source.dims[axis] === 1, "squeezed axis is not 1");
    return [
      reshaped(
        source,
        source.dims.filter((size, axis) => (axes ? !axes.includes(axis) : size !== 1)),
      ),
    ];
  },
  Unsqueeze: (call) => {
    const source = call.input(0);
    const given = axesOf(call);
    need(given !== undefined, "axes");
    const rank = source.dims.length + given.length;
    const axes = new Set(given.map((axis) => axisIn(axis, rank)));
    need(axes.size === given.length, "axes twice");
    const rest = source.dims.values();
    return [
      reshaped(
        source,
        Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.next().value!)),
      ),
    ];
  },
  /** Broadcasts both ways: a 1 in the shape keeps the tensor's own size. */
  Expand: (call) => {
    const source = call.input(0);
    const dims = broadcastDims(source.dims, checkedDims(integers(call.input(1))));
    return [broadcastTo(source, dims)];
  },
  ConstantOfShape: (call) => {
    const dims = checkedDims(integers(call.input(0)));
    const fill = call.tensor("value") ?? { dataType: DataType.FLOAT, dims: [1], data: Float32Array.of(0) };
    need(fill.data.length === 1, "one value");
    const data = allocate(fill.dataType, elementCount(dims));
    (data as unknown[]).fill(fill.data[0]);
    return [{ dataType: fill.dataType, dims, data }];
  },
};

function reshaped(source: TensorValue, dims: readonly number[]): TensorValue {
  need(elementCount(checkedDims(dims)) === elementCount(source.dims), "element counts differ");
  return { ...source, dims };
}

/** Replaces the one −1. */
function inferOne(dims: readonly number[], count: number): number[] {
  const unknown = dims.indexOf(-1);
  if (unknown < 0) return [...dims];
  const rest = elementCount(dims.filter((_, axis) => axis !== unknown));
  need(rest > 0 && count % rest === 0, "-1 cannot be inferred");
  return dims.map((size, axis) => (axis === unknown ? count / rest : size));
}

/** The axes: an attribute up to opset 12, an input from 13 on. */
export function axesOf(call: Call): number[] | undefined {
  const attribute = call.ints("axes");
  if (attribute) return [...attribute];
  const input = call.optional(1);
  return input && integers(input);
}
