import { DataType } from "../onnx/data-type.ts";
import type { TensorArray } from "../onnx/tensor-value.ts";
import { SamplesError } from "./samples-error.ts";

const MAX_RANK = 32;

type ArrayOf = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): Exclude<TensorArray, readonly string[]>;
};

const ARRAYS: Readonly<Record<number, ArrayOf>> = {
  [DataType.FLOAT]: Float32Array,
  [DataType.DOUBLE]: Float64Array,
  [DataType.FLOAT16]: Uint16Array,
  [DataType.BFLOAT16]: Uint16Array,
  [DataType.INT8]: Int8Array,
  [DataType.INT16]: Int16Array,
  [DataType.INT32]: Int32Array,
  [DataType.INT64]: BigInt64Array,
  [DataType.UINT8]: Uint8Array,
  [DataType.UINT16]: Uint16Array,
  [DataType.UINT32]: Uint32Array,
  [DataType.UINT64]: BigUint64Array,
  [DataType.BOOL]: Uint8Array,
};

/** Bytes of one element; the type must be one of those that sample files hold. */
export function elementWidth(dataType: number): number {
  return ARRAYS[dataType]!.BYTES_PER_ELEMENT;
}

/**
 * Elements of a declared shape, which is not trusted.
 * @throws SamplesError `array_size` when it overflows or is no shape.
 */
export function checkedCount(name: string, dims: readonly number[]): number {
  let count = 1;
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      throw new SamplesError("array_size", `array ${JSON.stringify(name)} has a dimension of ${dim}`);
    }
    count *= dim;
  }
  // Checked at the end, so that [2^40, 2^40, 0] overflows as [2^40, 2^40] does.
  if (dims.length > MAX_RANK || dims.reduce((product, dim) => product * Math.max(dim, 1), 1) > 2 ** 48) {
    throw new SamplesError("array_size", `array ${JSON.stringify(name)} is too large: shape [${dims}]`);
  }
  return count;
}

/** Little-endian bytes as an array of the type, copied so that it is aligned. */
export function elementsOf(dataType: number, bytes: Uint8Array): Exclude<TensorArray, readonly string[]> {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return new ARRAYS[dataType]!(copy.buffer);
}
