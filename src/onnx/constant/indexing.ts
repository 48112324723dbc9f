import { elementCount, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import {
  allocate,
  axisIn,
  checkedDims,
  copyRun,
  integers,
  need,
  picked,
  sameDims,
  strided,
  stridesOf,
} from "./values.ts";

/** Operators that pick, cut and join. */
export const indexingOperators: Evaluators = {
  Gather: (call) => [gather(call.input(0), call.input(1), call.int("axis", 0))],
  GatherElements: (call) => [gatherElements(call.input(0), call.input(1), call.int("axis", 0))],
  GatherND: (call) => [gatherND(call.input(0), call.input(1), call.int("batch_dims", 0))],
  Slice: (call) => [slice(call)],
  Concat: (call) => [concat(call.all(), call.int("axis", 1))],
  Split: (call) => split(call),
  Transpose: (call) => {
    const source = call.input(0);
    const rank = source.dims.length;
    const perm = call.ints("perm") ?? source.dims.map((_, axis) => rank - 1 - axis);
    need(perm.length === rank && new Set(perm.map((axis) => axisIn(axis, rank))).size === rank, "perm");
    const strides = stridesOf(source.dims);
    return [
      strided(
        source,
        perm.map((axis) => source.dims[axis]!),
        perm.map((axis) => strides[axis]!),
        0,
      ),
    ];
  },
  Tile: (call) => {
    const source = call.input(0);
    const repeats = integers(call.input(1));
    need(repeats.length === source.dims.length, "repeats");
    const dims = checkedDims(source.dims.map((size, axis) => size * repeats[axis]!));
    const own = stridesOf(source.dims);
    const strides = stridesOf(dims);
    return [
      picked(source, dims, (index) => {
        let from = 0;
        for (let axis = 0; axis < dims.length; axis++) {
          from += (Math.floor(index / strides[axis]!) % source.dims[axis]!) * own[axis]!;
        }
        return from;
      }),
    ];
  },
  Trilu: (call) => {
    const source = call.input(0);
    const k = integers(call.optional(1) ?? { dataType: 7, dims: [], data: BigInt64Array.of(0n) })[0]!;
    const rank = source.dims.length;
    need(rank >= 2, "rank");
    const upper = call.int("upper", 1) !== 0;
    const [rows, columns] = source.dims.slice(-2) as [number, number];
    const zero = allocate(source.dataType, 1)[0];
    const result = picked(source, source.dims, (index) => index);
    const data = result.data as unknown[];
    for (let i = 0; i < data.length; i++) {
      const row = Math.floor(i / columns) % rows;
      const column = i % columns;
      if (upper ? column - row < k : column - row > k) data[i] = zero;
    }
    return [result];
  },
};

/** data indexed by any shape along one axis. */
export function gather(data: TensorValue, indices: TensorValue, axisGiven: number): TensorValue {
  const axis = axisIn(axisGiven, data.dims.length);
  const size = data.dims[axis]!;
  const at = integers(indices).map((index) => axisIn(index, size));
  const inner = elementCount(data.dims.slice(axis + 1));
  const dims = [...data.dims.slice(0, axis), ...indices.dims, ...data.dims.slice(axis + 1)];
  const outer = elementCount(data.dims.slice(0, axis));
  const result = allocate(data.dataType, elementCount(dims));
  for (let row = 0; row < outer; row++) {
    for (const [i, index] of at.entries()) {
      copyRun(result, (row * at.length + i) * inner, data.data, (row * size + index) * inner, inner);
    }
  }
  return { dataType: data.dataType, dims, data: result };
}

function gatherElements(data: TensorValue, indices: TensorValue, axisGiven: number): TensorValue {
  const rank = data.dims.length;
  const axis = axisIn(axisGiven, rank);
  need(indices.dims.length === rank, "rank");
  need(
    indices.dims.every((size, d) => d === axis || size <= data.dims[d]!),
    "indices larger than data",
  );
  const at = integers(indices).map((index) => axisIn(index, data.dims[axis]!));
  const own = stridesOf(data.dims);
  const strides = stridesOf(indices.dims);
  return picked(data, indices.dims, (index) => {
    let from = at[index]! * own[axis]!;
    for (let d = 0; d < rank; d++) {
      if (d !== axis) from += (Math.floor(index / strides[d]!) % indices.dims[d]!) * own[d]!;
    }
    return from;
  });
}

function gatherND(data: TensorValue, indices: TensorValue, batchDims: number): TensorValue {
  const tuple = indices.dims.at(-1);
  need(tuple !== undefined && batchDims < indices.dims.length, "rank of indices");
  need(batchDims + tuple <= data.dims.length, "rank of data");
  need(sameDims(data.dims.slice(0, batchDims), indices.dims.slice(0, batchDims)), "batch dims");
  const at = integers(indices);
  const own = stridesOf(data.dims);
  const tail = data.dims.slice(batchDims + tuple);
  const block = elementCount(tail);
  const rows = elementCount(indices.dims.slice(0, -1));
  const perBatch = rows / Math.max(1, elementCount(indices.dims.slice(0, batchDims)));
  const batchBlock = elementCount(data.dims.slice(batchDims));
  const starts = Array.from({ length: rows }, (_, row) => {
    let from = Math.floor(row / perBatch) * batchBlock;
    for (let i = 0; i < tuple; i++) {
      const axis = batchDims + i;
      from += axisIn(at[row * tuple + i]!, data.dims[axis]!) * own[axis]!;
    }
    return from;
  });
  const dims = [...indices.dims.slice(0, -1), ...tail];
  return picked(data, dims, (index) => starts[Math.floor(index / block)]! + (index % block));
}

/** Attributes up to opset 9, inputs with steps from 10 on; ends past the axis (INT64_MAX) are clamped. */
function slice(call: Call): TensorValue {
  const source = call.input(0);
  const rank = source.dims.length;
  const fromAttributes = call.opset < 10;
  const starts = fromAttributes ? call.ints("starts") : integers(call.input(1), true);
  const ends = fromAttributes ? call.ints("ends") : integers(call.input(2), true);
  need(starts !== undefined && ends !== undefined && starts.length === ends.length, "starts and ends");
  const axesInput = fromAttributes ? undefined : call.optional(3);
  const stepsInput = fromAttributes ? undefined : call.optional(4);
  const axes =
    (fromAttributes ? call.ints("axes") : axesInput && integers(axesInput)) ?? starts.map((_, i) => i);
  const steps = stepsInput ? integers(stepsInput, true) : starts.map(() => 1);
  need(axes.length === starts.length && steps.length === starts.length, "axes and steps");
  const dims = [...source.dims];
  const strides = stridesOf(source.dims);
  let offset = 0;
  const seen = new Set<number>();
  axes.forEach((given, i) => {
    const axis = axisIn(given, rank);
    need(!seen.has(axis), "axis twice");
    seen.add(axis);
    const { start, count, step } = sliceRange(source.dims[axis]!, starts[i]!, ends[i]!, steps[i]!);
    dims[axis] = count;
    offset += start * strides[axis]!;
    strides[axis] = strides[axis]! * step;
  });
  return strided(source, dims, strides, offset);
}

const INT32_MAX = 2 ** 31 - 1;

/**
 * What Slice takes of one axis, as ONNX Runtime has it: a backward slice begins inside the axis even where its start
 * lies in front of it, and an end of INT32_MAX or INT64_MAX means "all the way" in both directions.
 * @throws NotEvaluable for step 0.
 */
export function sliceRange(
  size: number,
  start: number,
  end: number,
  step: number,
): { start: number; count: number; step: number } {
  need(step !== 0, "step 0");
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  if (step > 0) {
    const first = Math.min(Math.max(from, 0), size);
    const last = Math.min(Math.max(to, 0), size);
    const count = Math.max(0, Math.ceil((last - first) / step));
    return { start: count ? first : 0, count, step: count > 1 ? step : 1 };
  }
  const first = Math.min(Math.max(from, 0), size - 1);
  const whole = end === INT32_MAX || end >= Number.MAX_SAFE_INTEGER;
  const last = whole ? -1 : Math.min(Math.max(to, -1), size);
  const count = Math.max(0, Math.ceil((last - first) / step));
  return { start: count ? first : 0, count, step: count > 1 ? step : 1 };
}

function concat(parts: readonly TensorValue[], axisGiven: number): TensorValue {
  const [first] = parts;
  need(first !== undefined, "nothing to join");
  const axis = axisIn(axisGiven, first.dims.length);
  for (const part of parts) {
    need(part.dataType === first.dataType && part.dims.length === first.dims.length, "parts differ");
    need(
      part.dims.every((size, d) => d === axis || size === first.dims[d]),
      "sizes differ",
    );
  }
  const inner = elementCount(first.dims.slice(axis + 1));
  const outer = elementCount(first.dims.slice(0, axis));
  const total = parts.reduce((sum, part) => sum + part.dims[axis]!, 0);
  const dims = first.dims.map((size, d) => (d === axis ? total : size));
  const data = allocate(first.dataType, elementCount(dims));
  let start = 0;
  for (const part of parts) {
    const width = part.dims[axis]! * inner;
    for (let row = 0; row < outer; row++)
      copyRun(data, row * total * inner + start, part.data, row * width, width);
    start += width;
  }
  return { dataType: first.dataType, dims, data };
}

/** Sizes from the attribute (to 12), the input (from 13), num_outputs (18), or equal parts, the last one smaller. */
function split(call: Call): TensorValue[] {
  const source = call.input(0);
  const axis = axisIn(call.int("axis", 0), source.dims.length);
  const size = source.dims[axis]!;
  const outputs = call.node.outputs.length;
  const input = call.opset >= 13 ? call.optional(1) : undefined;
  const part = Math.ceil(size / outputs);
  need(
    call.opset >= 18 || input !== undefined || call.ints("split") !== undefined || size % outputs === 0,
    "unequal parts",
  );
  const sizes =
    (input ? integers(input) : call.ints("split")) ??
    Array.from({ length: outputs }, (_, i) => Math.max(0, Math.min(part, size - i * part)));
  need(sizes.length === outputs && sizes.reduce((sum, each) => sum + each, 0) === size, "sizes of the parts");
  const strides = stridesOf(source.dims);
  let start = 0;
  return checkedDims(sizes).map((each) => {
    const dims = source.dims.map((full, d) => (d === axis ? each : full));
    const piece = strided(source, dims, strides, start * strides[axis]!);
    start += each;
    return piece;
  });
}
