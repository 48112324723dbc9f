import { DataType } from "../data-type.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import { narrow, widen } from "./half.ts";
import {
  allocate,
  axisIn,
  checkedDims,
  entriesOf,
  int64,
  integers,
  isHalf,
  larger,
  need,
  picked,
  sameDims,
  smaller,
  stridesOf,
} from "./values.ts";

/** Operators that write into a copy, and those that make index-like tensors. */
export const scatterOperators: Evaluators = {
  ScatterElements: (call) => [scatterElements(call)],
  /** Opset 9 to 10, the same as ScatterElements without a reduction. */
  Scatter: (call) => [scatterElements(call)],
  ScatterND: (call) => [scatterND(call)],
  OneHot: (call) => [oneHot(call)],
  EyeLike: (call) => [eyeLike(call)],
  NonZero: (call) => {
    const source = call.input(0);
    const strides = stridesOf(source.dims);
    const hits: number[] = [];
    for (let i = 0; i < source.data.length; i++) {
      const entry = source.data[i]!;
      need(typeof entry !== "string", "strings");
      if (isHalf(source.dataType) ? (entry as number) & 0x7fff : Number(entry) !== 0) hits.push(i);
    }
    const rows = source.dims.flatMap((size, axis) =>
      hits.map((hit) => Math.floor(hit / strides[axis]!) % size),
    );
    return [int64([source.dims.length, hits.length], rows)];
  },
};

type Reduce = (a: number | bigint, b: number | bigint) => number | bigint;

const REDUCTIONS: Readonly<Record<string, Reduce>> = {
  none: (_, b) => b,
  add: (a, b) => (typeof a === "bigint" ? a + (b as bigint) : a + (b as number)),
  mul: (a, b) => (typeof a === "bigint" ? a * (b as bigint) : a * (b as number)),
  min: (a, b) => (typeof a === "bigint" ? smaller(a, b as bigint) : Math.min(a, b as number)),
  max: (a, b) => (typeof a === "bigint" ? larger(a, b as bigint) : Math.max(a, b as number)),
};

/** Writes updates into a copy, at the positions given, in order. */
function scattered(
  call: Call,
  data: TensorValue,
  updates: TensorValue,
  positions: (each: (at: number, from: number) => void) => void,
): TensorValue {
  need(data.dataType === updates.dataType, "types differ");
  const name = call.string("reduction", "none");
  const reduce = REDUCTIONS[name];
  need(reduce !== undefined, `reduction ${name}`);
  const half = isHalf(data.dataType) && name !== "none";
  need(name === "none" || (data.dataType !== DataType.STRING && data.dataType !== DataType.BOOL), "type");
  const result = picked(data, data.dims, (index) => index);
  const target = half ? widen(data.dataType, result.data as Uint16Array) : entriesOf(result.data);
  const source = half ? widen(data.dataType, updates.data as Uint16Array) : entriesOf(updates.data);
  const into = target as (number | bigint)[];
  positions((at, from) => {
    into[at] = reduce(into[at]!, source[from]!);
  });
  return half ? { ...result, data: narrow(data.dataType, target as Float32Array) } : result;
}

function scatterElements(call: Call): TensorValue {
  const data = call.input(0);
  const indices = call.input(1);
  const updates = call.input(2);
  const rank = data.dims.length;
  const axis = axisIn(call.int("axis", 0), rank);
  need(sameDims(indices.dims, updates.dims) && indices.dims.length === rank, "shapes");
  need(
    indices.dims.every((size, d) => d === axis || size <= data.dims[d]!),
    "indices larger than data",
  );
  const at = integers(indices).map((index) => axisIn(index, data.dims[axis]!));
  const own = stridesOf(data.dims);
  const strides = stridesOf(indices.dims);
  return scattered(call, data, updates, (each) => {
    for (let i = 0; i < at.length; i++) {
      let to = at[i]! * own[axis]!;
      for (let d = 0; d < rank; d++) {
        if (d !== axis) to += (Math.floor(i / strides[d]!) % indices.dims[d]!) * own[d]!;
      }
      each(to, i);
    }
  });
}

function scatterND(call: Call): TensorValue {
  const data = call.input(0);
  const indices = call.input(1);
  const updates = call.input(2);
  const tuple = indices.dims.at(-1);
  need(tuple !== undefined && tuple <= data.dims.length, "rank of indices");
  const tail = data.dims.slice(tuple);
  need(sameDims(updates.dims, [...indices.dims.slice(0, -1), ...tail]), "shape of updates");
  const own = stridesOf(data.dims);
  const at = integers(indices);
  const block = elementCount(tail);
  const rows = elementCount(indices.dims.slice(0, -1));
  return scattered(call, data, updates, (each) => {
    for (let row = 0; row < rows; row++) {
      let start = 0;
      for (let i = 0; i < tuple; i++) start += axisIn(at[row * tuple + i]!, data.dims[i]!) * own[i]!;
      for (let i = 0; i < block; i++) each(start + i, row * block + i);
    }
  });
}

/** Indices out of [-depth, depth) give a row of off values. */
function oneHot(call: Call): TensorValue {
  const indices = call.input(0);
  const depth = Number(call.input(1).data[0]);
  const values = call.input(2);
  need(Number.isInteger(depth) && depth >= 0 && values.data.length === 2, "depth and values");
  const rank = indices.dims.length + 1;
  const axis = axisIn(call.int("axis", -1), rank);
  const dims = [...indices.dims.slice(0, axis), depth, ...indices.dims.slice(axis)];
  const inner = elementCount(indices.dims.slice(axis));
  need(!isHalf(indices.dataType) && indices.dataType !== DataType.STRING, "type of indices");
  return picked(values, dims, (index) => {
    const outer = Math.floor(index / (inner * depth));
    const hot = Number(indices.data[outer * inner + (index % inner)]);
    const here = Math.floor(index / inner) % depth;
    return (hot < 0 ? hot + depth : hot) === here ? 1 : 0;
  });
}

function eyeLike(call: Call): TensorValue {
  const source = call.input(0);
  const dataType = call.int("dtype", source.dataType);
  const k = call.int("k", 0);
  need(source.dims.length === 2 && !isHalf(dataType) && dataType !== DataType.STRING, "matrix");
  const [rows, columns] = checkedDims(source.dims) as [number, number];
  const data = entriesOf(allocate(dataType, rows * columns));
  for (let row = 0; row < rows; row++) {
    const column = row + k;
    if (column >= 0 && column < columns) {
      data[row * columns + column] = typeof data[0] === "bigint" ? 1n : 1;
    }
  }
  return { dataType, dims: [rows, columns], data: data as unknown as TensorValue["data"] };
}
