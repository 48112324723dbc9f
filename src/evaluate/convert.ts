import { narrow, widen } from "../onnx/constant/half.ts";
import { DataType, dataTypeName } from "../onnx/data-type.ts";
import type { TensorArray, TensorValue } from "../onnx/tensor-value.ts";
import { SamplesError } from "./samples-error.ts";

const FLOATS: ReadonlySet<number> = new Set([
  DataType.FLOAT,
  DataType.DOUBLE,
  DataType.FLOAT16,
  DataType.BFLOAT16,
]);

/** Lowest and highest value of the integer types. */
const RANGES: ReadonlyMap<number, readonly [bigint, bigint]> = new Map([
  [DataType.BOOL, [0n, 1n]],
  [DataType.INT8, [-(2n ** 7n), 2n ** 7n - 1n]],
  [DataType.UINT8, [0n, 2n ** 8n - 1n]],
  [DataType.INT16, [-(2n ** 15n), 2n ** 15n - 1n]],
  [DataType.UINT16, [0n, 2n ** 16n - 1n]],
  [DataType.INT32, [-(2n ** 31n), 2n ** 31n - 1n]],
  [DataType.UINT32, [0n, 2n ** 32n - 1n]],
  [DataType.INT64, [-(2n ** 63n), 2n ** 63n - 1n]],
  [DataType.UINT64, [0n, 2n ** 64n - 1n]],
]);

/** Whole numbers up to here are exact in the float type. */
const EXACT: ReadonlyMap<number, number> = new Map([
  [DataType.BFLOAT16, 2 ** 8],
  [DataType.FLOAT16, 2 ** 11],
  [DataType.FLOAT, 2 ** 24],
  [DataType.DOUBLE, 2 ** 53],
]);

/**
 * An array in the type that an input declares. Floats become floats of another width, rounded to the nearest
 * (NumPy makes float64 of everything); integers become integers that hold their value, and floats that hold it
 * exactly. Values are never scaled: uint8 pixels 0..255 stay 0..255.
 * @throws SamplesError `type_mismatch` (float to integer, text) or `value_range`.
 */
export function convertTo(dataType: number, value: TensorValue, name: string): TensorValue {
  if (value.dataType === dataType) return value;
  const refused = () =>
    new SamplesError(
      "type_mismatch",
      `array ${JSON.stringify(name)} holds ${dataTypeName(value.dataType)}; the input takes ${dataTypeName(dataType)}`,
    );
  const { dims } = value;
  const source = value.data as Exclude<TensorArray, readonly string[]>;
  if (FLOATS.has(value.dataType)) {
    if (!FLOATS.has(dataType)) throw refused();
    const numbers = isHalf(value.dataType)
      ? widen(value.dataType, source as Uint16Array)
      : (source as Float32Array);
    return { dataType, dims, data: floatsOf(dataType, numbers) };
  }
  if (!RANGES.has(value.dataType)) throw refused();
  const tooLarge = (item: number | bigint) =>
    new SamplesError(
      "value_range",
      `array ${JSON.stringify(name)} holds ${item}, which ${dataTypeName(dataType)} cannot`,
    );
  const exact = EXACT.get(dataType);
  if (exact !== undefined) {
    const numbers = new Float64Array(source.length);
    for (const [i, item] of source.entries()) {
      numbers[i] = Number(item);
      if (Math.abs(numbers[i]!) > exact) throw tooLarge(item);
    }
    return { dataType, dims, data: floatsOf(dataType, numbers) };
  }
  const range = RANGES.get(dataType);
  if (range === undefined) throw refused();
  const [low, high] = range;
  for (const item of source) if (item < low || item > high) throw tooLarge(item);
  return { dataType, dims, data: integersOf(dataType, source) };
}

function isHalf(dataType: number): boolean {
  return dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16;
}

function floatsOf(dataType: number, numbers: Float32Array | Float64Array): TensorArray {
  if (isHalf(dataType)) return narrow(dataType, numbers);
  return dataType === DataType.FLOAT ? Float32Array.from(numbers) : Float64Array.from(numbers);
}

function integersOf(dataType: number, source: Exclude<TensorArray, readonly string[]>): TensorArray {
  if (dataType === DataType.INT64) return BigInt64Array.from([...source].map(BigInt));
  if (dataType === DataType.UINT64) return BigUint64Array.from([...source].map(BigInt));
  const numbers = Float64Array.from<number | bigint>(source as Iterable<number>, Number);
  switch (dataType) {
    case DataType.INT8:
      return Int8Array.from(numbers);
    case DataType.INT16:
      return Int16Array.from(numbers);
    case DataType.UINT16:
      return Uint16Array.from(numbers);
    case DataType.INT32:
      return Int32Array.from(numbers);
    case DataType.UINT32:
      return Uint32Array.from(numbers);
    default:
      return Uint8Array.from(numbers);
  }
}
