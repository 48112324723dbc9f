import { DataType } from "../data-type.ts";
import type { TensorValue } from "../tensor-value.ts";
import type { Evaluators } from "./call.ts";
import { narrow, widen } from "./half.ts";
import { allocate, entriesOf, isBig, isFloat, isHalf, isInteger, need } from "./values.ts";

/** Conversions between numbers and truth values; strings and 8-bit floats are left to the runtime. */
export const castOperators: Evaluators = {
  Cast: (call) => [cast(call.input(0), call.int("to", 0))],
  CastLike: (call) => [cast(call.input(0), call.input(1).dataType)],
};

/** C's conversion as ONNX Runtime does it. Floats outside an integer type are undefined there: not evaluated. */
export function cast(source: TensorValue, dataType: number): TensorValue {
  const from = source.dataType;
  if (from === dataType) return source;
  for (const type of [from, dataType]) {
    need(isFloat(type) || isInteger(type) || type === DataType.BOOL, "type of a cast");
  }
  const { dims } = source;
  const entries = (isHalf(from) ? widen(from, source.data as Uint16Array) : source.data) as ArrayLike<
    number | bigint
  >;
  if (isHalf(dataType)) return { dataType, dims, data: narrow(dataType, Array.from(entries, Number)) };
  const data = entriesOf(allocate(dataType, entries.length));
  const convert = converter(from, dataType);
  for (let i = 0; i < entries.length; i++) data[i] = convert(entries[i]!);
  return { dataType, dims, data: data as unknown as TensorValue["data"] };
}

function converter(from: number, to: number): (entry: number | bigint) => number | bigint {
  if (to === DataType.BOOL) return (entry) => (Number(entry) !== 0 ? 1 : 0);
  if (isFloat(to)) return Number;
  const [low, high] = RANGES[to]!;
  if (isFloat(from)) {
    const truncate = (entry: number | bigint) => {
      const whole = Math.trunc(entry as number);
      need(whole >= low && whole <= high, "float outside of the integer type");
      return whole;
    };
    return isBig(to) ? (entry) => BigInt(truncate(entry)) : truncate;
  }
  if (isBig(to)) return BigInt;
  // The typed array keeps the low bits, as C does.
  return (entry) => (typeof entry === "bigint" ? Number(BigInt.asIntN(32, entry)) : entry);
}

const RANGES: Readonly<Record<number, readonly [number, number]>> = {
  [DataType.UINT8]: [0, 0xff],
  [DataType.INT8]: [-0x80, 0x7f],
  [DataType.UINT16]: [0, 0xffff],
  [DataType.INT16]: [-0x8000, 0x7fff],
  [DataType.INT32]: [-0x80000000, 0x7fffffff],
  [DataType.UINT32]: [0, 0xffffffff],
  // The largest doubles below 2^63 and 2^64.
  [DataType.INT64]: [-(2 ** 63), 2 ** 63 - 1024],
  [DataType.UINT64]: [0, 2 ** 64 - 2048],
};
