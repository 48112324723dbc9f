import { bitsPerElement, DataType } from "../data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../tensor-value.ts";

/** Outputs larger than this are never computed, whatever a constant declares (ConstantOfShape of 10^12). */
export const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Steps of work that one node may cost (a product of matrices reads far more than it writes). */
export const MAX_WORK = 1 << 28;

/** Says that a node is not evaluated: unknown form, wrong types, over a cap. Never leaves this folder. */
export class NotEvaluable extends Error {}

/** @throws NotEvaluable when the condition does not hold. */
export function need(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new NotEvaluable(reason);
}

export type NumberArray = Exclude<TensorArray, readonly string[] | BigInt64Array | BigUint64Array>;
export type BigArray = BigInt64Array | BigUint64Array;
type MutableArray = NumberArray | BigArray | string[];

export function isBig(dataType: number): boolean {
  return dataType === DataType.INT64 || dataType === DataType.UINT64;
}

/** Types whose entries are bit patterns, not numbers, with the conversions in half.ts. */
export function isHalf(dataType: number): boolean {
  return dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16;
}

export function isFloat(dataType: number): boolean {
  return dataType === DataType.FLOAT || dataType === DataType.DOUBLE || isHalf(dataType);
}

export function isInteger(dataType: number): boolean {
  return (
    (dataType >= DataType.UINT8 && dataType <= DataType.INT64) ||
    dataType === DataType.UINT32 ||
    dataType === DataType.UINT64
  );
}

/**
 * A zeroed array for `count` elements.
 * @throws NotEvaluable for a type that has no array here, or past {@link MAX_OUTPUT_BYTES}.
 */
export function allocate(dataType: number, count: number): MutableArray {
  const bits = dataType === DataType.STRING ? 128 : bitsPerElement(dataType);
  need(bits !== undefined, `data type ${dataType}`);
  need(Number.isSafeInteger(count) && count >= 0, "element count");
  need((count * Math.max(bits, 8)) / 8 <= MAX_OUTPUT_BYTES, "output over the cap");
  switch (dataType) {
    case DataType.FLOAT:
      return new Float32Array(count);
    case DataType.DOUBLE:
      return new Float64Array(count);
    case DataType.INT8:
    case DataType.INT4:
    case DataType.INT2:
      return new Int8Array(count);
    case DataType.INT16:
      return new Int16Array(count);
    case DataType.UINT16:
    case DataType.FLOAT16:
    case DataType.BFLOAT16:
      return new Uint16Array(count);
    case DataType.INT32:
      return new Int32Array(count);
    case DataType.UINT32:
      return new Uint32Array(count);
    case DataType.INT64:
      return new BigInt64Array(count);
    case DataType.UINT64:
      return new BigUint64Array(count);
    case DataType.STRING:
      return new Array<string>(count).fill("");
    default:
      need(bits <= 8, `data type ${dataType}`);
      return new Uint8Array(count);
  }
}

/** A tensor whose entry i is the entry `from(i)` of the source: the shape of every operator that only moves data. */
export function picked(
  source: TensorValue,
  dims: readonly number[],
  from: (index: number) => number,
): TensorValue {
  const count = elementCount(dims);
  const data = allocate(source.dataType, count);
  move(data, source.data, count, from);
  return { dataType: source.dataType, dims, data };
}

function move(
  target: MutableArray,
  source: TensorArray,
  count: number,
  from: (index: number) => number,
): void {
  // One loop for all array types: both sides hold the same kind of entry, because both follow one data type.
  const into = target as unknown[];
  const entries = source as readonly unknown[];
  for (let i = 0; i < count; i++) into[i] = entries[from(i)];
}

/** Elements to step over for one step along each axis, row-major. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let axis = dims.length - 2; axis >= 0; axis--) {
    strides[axis] = strides[axis + 1]! * dims[axis + 1]!;
  }
  return strides;
}

/** Copies `count` entries; both arrays hold the same kind of entry, because both follow one data type. */
export function copyRun(
  target: MutableArray,
  at: number,
  source: TensorArray,
  from: number,
  count: number,
): void {
  if (Array.isArray(target) || !ArrayBuffer.isView(source)) {
    for (let i = 0; i < count; i++) (target as unknown[])[at + i] = source[from + i];
  } else (target as Uint8Array).set(source.subarray(from, from + count) as Uint8Array, at);
}

/** A view with its own strides over the source, made solid: Transpose, Expand, Slice and Split are all this. */
export function strided(
  source: TensorValue,
  dims: readonly number[],
  strides: readonly number[],
  offset: number,
): TensorValue {
  // The last axes that lie as they will lie are copied in one go.
  let run = 1;
  let outer = dims.length;
  while (outer > 0 && (strides[outer - 1] === run || dims[outer - 1] === 1)) run *= dims[--outer]!;
  const position = new Array<number>(outer).fill(0);
  let at = offset;
  const step = () => {
    const current = at;
    for (let axis = outer - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      position[axis]!++;
      if (position[axis]! < dims[axis]!) break;
      at -= strides[axis]! * dims[axis]!;
      position[axis] = 0;
    }
    return current;
  };
  if (run === 1) return picked(source, dims, step);
  const count = elementCount(dims);
  const data = allocate(source.dataType, count);
  for (let i = 0; i < count; i += run) copyRun(data, i, source.data, step(), run);
  return { dataType: source.dataType, dims, data };
}

/** NumPy's broadcasting of shapes. @throws NotEvaluable when two sizes disagree. */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i;
      const size = shape[i]!;
      if (size === 1) continue;
      need(result[axis] === 1 || result[axis] === size, "shapes do not broadcast");
      result[axis] = size;
    }
  }
  return result;
}

/** The tensor repeated to the given shape, which its own broadcasts to. */
export function broadcastTo(source: TensorValue, dims: readonly number[]): TensorValue {
  if (sameDims(source.dims, dims)) return source;
  const own = stridesOf(source.dims);
  const lead = dims.length - source.dims.length;
  const strides = dims.map((_, axis) =>
    axis < lead || source.dims[axis - lead] === 1 ? 0 : own[axis - lead]!,
  );
  return strided(source, dims, strides, 0);
}

export function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The entries as numbers: shapes, axes, indices. @throws NotEvaluable for floats, and integers past 2^53 unless clamped. */
export function integers(value: TensorValue, clamp = false): number[] {
  need(isInteger(value.dataType), "integers expected");
  return Array.from(value.data as ArrayLike<number | bigint>, (entry) => {
    const number = Number(entry);
    need(clamp || Number.isSafeInteger(number), "integer past 2^53");
    return number;
  });
}

/** An axis counted from either end. @throws NotEvaluable outside [-rank, rank). */
export function axisIn(axis: number, rank: number): number {
  need(Number.isInteger(axis) && axis >= -rank && axis < rank, "axis out of range");
  return axis < 0 ? axis + rank : axis;
}

export function int64(dims: readonly number[], entries: readonly number[]): TensorValue {
  return { dataType: DataType.INT64, dims, data: BigInt64Array.from(entries, BigInt) };
}

/** Every size a plain number ≥ 0. @throws NotEvaluable otherwise. */
export function checkedDims(dims: readonly number[]): readonly number[] {
  need(
    dims.every((size) => Number.isSafeInteger(size) && size >= 0),
    "dimensions",
  );
  need(Number.isSafeInteger(elementCount(dims)), "dimensions overflow");
  return dims;
}

/** Number and bigint arrays under one type, for loops whose arithmetic was chosen by the data type. */
export function entriesOf(data: TensorArray): (number | bigint)[] {
  need(typeof data[0] !== "string", "strings");
  return data as unknown as (number | bigint)[];
}

export function smaller(a: bigint, b: bigint): bigint {
  if (b < a) return b;
  return a;
}

export function larger(a: bigint, b: bigint): bigint {
  if (b > a) return b;
  return a;
}
