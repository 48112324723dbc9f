import { DataType } from "../data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluator, Evaluators } from "./call.ts";
import { narrow, roundHalfEven, widen } from "./half.ts";
import {
  allocate,
  broadcastDims,
  broadcastTo,
  entriesOf,
  isBig,
  isFloat,
  isHalf,
  isInteger,
  larger,
  need,
  picked,
  smaller,
} from "./values.ts";

/**
 * Binary operators by the kind of their entries. Floats are computed in double and rounded once to the tensor's
 * type, which for + − × ÷ and √ is exactly what float32 arithmetic gives.
 */
interface Binary {
  readonly float?: (a: number, b: number) => number;
  readonly integer?: (a: number, b: number) => number;
  readonly big?: (a: bigint, b: bigint) => bigint;
}

const ARITHMETIC: Readonly<Record<string, Binary>> = {
  Add: { float: (a, b) => a + b, integer: (a, b) => a + b, big: (a, b) => a + b },
  Sub: { float: (a, b) => a - b, integer: (a, b) => a - b, big: (a, b) => a - b },
  Mul: { float: (a, b) => a * b, integer: Math.imul, big: (a, b) => a * b },
  Div: {
    float: (a, b) => a / b,
    integer: (a, b) => Math.trunc(a / nonZero(b)),
    big: (a, b) => a / nonZero(b),
  },
  BitwiseAnd: { integer: (a, b) => a & b, big: (a, b) => a & b },
  BitwiseOr: { integer: (a, b) => a | b, big: (a, b) => a | b },
  BitwiseXor: { integer: (a, b) => a ^ b, big: (a, b) => a ^ b },
  PRelu: { float: (a, b) => (a < 0 ? a * b : a) },
};

/** Mod with the sign of the divisor (integers), and C's fmod. */
const MOD: Binary = {
  integer: (a, b) => {
    const rest = a % nonZero(b);
    return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  },
  big: (a, b) => {
    const rest = a % nonZero(b);
    return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
  },
};
const FMOD: Binary = {
  float: (a, b) => a % b,
  integer: (a, b) => a % nonZero(b),
  big: (a, b) => a % nonZero(b),
};

const VARIADIC: Readonly<Record<string, Binary>> = {
  Sum: ARITHMETIC.Add!,
  Min: { float: Math.min, integer: Math.min, big: smaller },
  Max: { float: Math.max, integer: Math.max, big: larger },
};

const COMPARISONS: Readonly<Record<string, (a: number | bigint, b: number | bigint) => boolean>> = {
  Greater: (a, b) => a > b,
  GreaterOrEqual: (a, b) => a >= b,
  Less: (a, b) => a < b,
  LessOrEqual: (a, b) => a <= b,
};

const LOGIC: Readonly<Record<string, (a: boolean, b: boolean) => boolean>> = {
  And: (a, b) => a && b,
  Or: (a, b) => a || b,
  Xor: (a, b) => a !== b,
};

/** Operators on pairs and lists of tensors, broadcast against each other (opset 7 on). */
export const elementwiseOperators: Evaluators = {
  ...mapped(ARITHMETIC, (kinds) => (call) => [binary(call.input(0), call.input(1), kinds)]),
  ...mapped(VARIADIC, (kinds) => (call) => [call.all().reduce((a, b) => binary(a, b, kinds))]),
  ...mapped(COMPARISONS, (compare) => (call) => {
    const [a, b] = numbersOf(call);
    return [truth(a, b, (x, y) => compare(x as number, y as number))];
  }),
  ...mapped(LOGIC, (join) => (call) => {
    const [a, b] = [call.input(0), call.input(1)];
    need(a.dataType === DataType.BOOL && b.dataType === DataType.BOOL, "truth values");
    return [truth(a, b, (x, y) => join(x !== 0, y !== 0))];
  }),
  Equal: (call) => {
    const [a, b] =
      call.input(0).dataType === DataType.STRING ? [call.input(0), call.input(1)] : numbersOf(call);
    need(a.dataType === b.dataType, "types differ");
    return [truth(a, b, (x, y) => x === y)];
  },
  Mod: (call) => [binary(call.input(0), call.input(1), call.int("fmod", 0) ? FMOD : MOD)],
  Pow: (call) => [power(call.input(0), call.input(1))],
  Mean: (call) => {
    const parts = call.all();
    const sum = parts.reduce((a, b) => binary(a, b, ARITHMETIC.Add!));
    const count = allocate(DataType.FLOAT, 1) as Float32Array;
    count[0] = parts.length;
    need(sum.dataType === DataType.FLOAT, "float");
    return [binary(sum, { dataType: DataType.FLOAT, dims: [], data: count }, ARITHMETIC.Div!)];
  },
  Where: (call) => {
    const [condition, yes, no] = [call.input(0), call.input(1), call.input(2)];
    need(condition.dataType === DataType.BOOL && yes.dataType === no.dataType, "types");
    const dims = broadcastDims(condition.dims, yes.dims, no.dims);
    allocate(yes.dataType, elementCount(dims));
    const [test, a, b] = [condition, yes, no].map((value) => broadcastTo(value, dims).data) as [
      TensorArray,
      TensorArray,
      TensorArray,
    ];
    const result = picked({ ...yes, data: a, dims }, dims, (index) => index);
    const data = result.data as unknown[];
    for (let i = 0; i < data.length; i++) if (test[i] === 0) data[i] = b[i];
    return [result];
  },
  BitShift: (call) => {
    const left = call.string("direction", "") === "LEFT";
    const shift: Binary = left
      ? { integer: (a, b) => (b < 32 ? a << b : 0), big: (a, b) => (b < 64n ? a << b : 0n) }
      : { integer: (a, b) => (b < 32 ? a >>> b : 0), big: (a, b) => (b < 64n ? a >> b : 0n) };
    return [binary(call.input(0), call.input(1), shift)];
  },
};

function mapped<T>(table: Readonly<Record<string, T>>, evaluator: (entry: T) => Evaluator): Evaluators {
  return Object.fromEntries(Object.entries(table).map(([name, entry]) => [name, evaluator(entry)]));
}

function nonZero<T extends number | bigint>(divisor: T): T {
  need(Number(divisor) !== 0, "integer division by zero");
  return divisor;
}

/** Both inputs as numbers; half floats widened. */
function numbersOf(call: Call): [TensorValue, TensorValue] {
  const [a, b] = [call.input(0), call.input(1)];
  need(a.dataType === b.dataType, "types differ");
  need(isFloat(a.dataType) || isInteger(a.dataType) || a.dataType === DataType.BOOL, "numbers");
  return [widened(a), widened(b)];
}

/** Half floats as float32; other tensors as they are. */
export function widened(value: TensorValue): TensorValue {
  if (!isHalf(value.dataType)) return value;
  return { ...value, dataType: DataType.FLOAT, data: widen(value.dataType, value.data as Uint16Array) };
}

/** Back to the type it had before {@link widened}. */
export function narrowed(value: TensorValue, dataType: number): TensorValue {
  return isHalf(dataType)
    ? { ...value, dataType, data: narrow(dataType, value.data as Float32Array) }
    : value;
}

function binary(a: TensorValue, b: TensorValue, kinds: Binary): TensorValue {
  need(a.dataType === b.dataType, "types differ");
  const { dataType } = a;
  if (isHalf(dataType)) return narrowed(binary(widened(a), widened(b), kinds), dataType);
  const compute = isFloat(dataType) ? kinds.float : isBig(dataType) ? kinds.big : kinds.integer;
  need(compute !== undefined && (isFloat(dataType) || isInteger(dataType)), "type");
  return paired(a, b, dataType, compute as (a: never, b: never) => number | bigint);
}

function truth(
  a: TensorValue,
  b: TensorValue,
  compare: (a: number | bigint | string, b: number | bigint | string) => boolean,
): TensorValue {
  return paired(a, b, DataType.BOOL, (x: never, y: never) => (compare(x, y) ? 1 : 0));
}

function paired(
  a: TensorValue,
  b: TensorValue,
  dataType: number,
  compute: (a: never, b: never) => number | bigint,
): TensorValue {
  const dims = broadcastDims(a.dims, b.dims);
  const data = entriesOf(allocate(dataType, elementCount(dims)));
  const left = broadcastTo(a, dims).data as never[];
  const right = broadcastTo(b, dims).data as never[];
  for (let i = 0; i < data.length; i++) data[i] = compute(left[i]!, right[i]!);
  return { dataType, dims, data: data as unknown as TensorArray };
}

/** The exponent may have another type; the result has the base's. */
function power(base: TensorValue, exponent: TensorValue): TensorValue {
  const { dataType } = base;
  if (isHalf(dataType)) return narrowed(power(widened(base), exponent), dataType);
  const powers = widened(exponent);
  need(isFloat(dataType) || isInteger(dataType), "base");
  need(isFloat(powers.dataType) || isInteger(powers.dataType), "exponent");
  return paired(base, powers, dataType, (a: number | bigint, b: number | bigint) => {
    const result = cPow(Number(a), Number(b));
    if (isFloat(dataType)) return result;
    need(Number.isSafeInteger(Math.trunc(result)), "integer power past 2^53");
    return isBig(dataType) ? BigInt(Math.trunc(result)) : Math.trunc(result);
  });
}

/** C's pow: 1 to any power is 1, and (−1)^±∞ is 1, where JavaScript says NaN. */
function cPow(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1;
  return base ** exponent;
}

const UNARY_FLOAT: Readonly<Record<string, (x: number) => number>> = {
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Exp: Math.exp,
  Log: Math.log,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Round: roundHalfEven,
  Sin: Math.sin,
  Cos: Math.cos,
  Tan: Math.tan,
  Asin: Math.asin,
  Acos: Math.acos,
  Atan: Math.atan,
  Sinh: Math.sinh,
  Cosh: Math.cosh,
  Asinh: Math.asinh,
  Acosh: Math.acosh,
  Atanh: Math.atanh,
  Tanh: Math.tanh,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Softplus: (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))),
  Softsign: (x) => x / (1 + Math.abs(x)),
  HardSwish: (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)),
};

/** Operators that also take integers, where the integer form is another function. */
const UNARY_NUMBER: Readonly<
  Record<string, { float: (x: number) => number; integer: (x: number) => number; big: (x: bigint) => bigint }>
> = {
  Neg: { float: (x) => -x, integer: (x) => -x, big: (x) => -x },
  Abs: { float: Math.abs, integer: Math.abs, big: (x) => (x < 0n ? -x : x) },
  Sign: { float: Math.sign, integer: Math.sign, big: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n) },
  Relu: {
    float: (x) => Math.max(x, 0),
    integer: (x) => Math.max(0, x),
    big: (x) => (x < 0n ? 0n : x),
  },
};

/** Operators on one tensor, entry by entry. */
export const unaryOperators: Evaluators = {
  ...mapped(UNARY_FLOAT, (compute) => (call) => [unary(call.input(0), compute)]),
  ...mapped(UNARY_NUMBER, (kinds) => (call) => {
    const source = call.input(0);
    if (isFloat(source.dataType)) return [unary(source, kinds.float)];
    need(isInteger(source.dataType), "type");
    const compute = (isBig(source.dataType) ? kinds.big : kinds.integer) as (x: never) => number | bigint;
    const data = entriesOf(allocate(source.dataType, source.data.length));
    for (let i = 0; i < data.length; i++) data[i] = compute(source.data[i] as never);
    return [{ ...source, data: data as unknown as TensorArray }];
  }),
  Not: (call) => {
    const source = call.input(0);
    need(source.dataType === DataType.BOOL, "truth values");
    return [{ ...source, data: Uint8Array.from(source.data as Uint8Array, (entry) => (entry ? 0 : 1)) }];
  },
  LeakyRelu: (call) => {
    const alpha = call.float("alpha", 0.01);
    return [unary(call.input(0), (x) => (x < 0 ? alpha * x : x))];
  },
  Elu: (call) => {
    const alpha = call.float("alpha", 1);
    return [unary(call.input(0), (x) => (x < 0 ? alpha * Math.expm1(x) : x))];
  },
  HardSigmoid: (call) => {
    const [alpha, beta] = [call.float("alpha", Math.fround(0.2)), call.float("beta", 0.5)];
    return [unary(call.input(0), (x) => Math.max(0, Math.min(1, alpha * x + beta)))];
  },
  IsNaN: (call) => [tested(call.input(0), Number.isNaN)],
  IsInf: (call) => {
    const up = call.int("detect_positive", 1) !== 0;
    const down = call.int("detect_negative", 1) !== 0;
    return [
      tested(
        call.input(0),
        (x) => (up && x === Number.POSITIVE_INFINITY) || (down && x === Number.NEGATIVE_INFINITY),
      ),
    ];
  },
  Clip: (call) => [clip(call)],
};

function unary(source: TensorValue, compute: (x: number) => number): TensorValue {
  need(isFloat(source.dataType), "float");
  const wide = widened(source);
  const data = allocate(wide.dataType, wide.data.length) as Float32Array;
  const entries = wide.data as Float32Array;
  for (let i = 0; i < data.length; i++) data[i] = compute(entries[i]!);
  return narrowed({ ...wide, data }, source.dataType);
}

function tested(source: TensorValue, test: (x: number) => boolean): TensorValue {
  need(isFloat(source.dataType), "float");
  const entries = widened(source).data as Float32Array;
  return {
    dataType: DataType.BOOL,
    dims: source.dims,
    data: Uint8Array.from(entries, (x) => (test(x) ? 1 : 0)),
  };
}

/** Bounds: attributes up to opset 10, inputs from 11 on. */
function clip(call: Call): TensorValue {
  const source = call.input(0);
  if (call.opset < 11) {
    const low = call.float("min", Number.NEGATIVE_INFINITY);
    const high = call.float("max", Number.POSITIVE_INFINITY);
    return unary(source, (x) => Math.min(high, Math.max(low, x)));
  }
  let result = source;
  const low = call.optional(1);
  const high = call.optional(2);
  if (low) result = binary(result, low, VARIADIC.Max!);
  if (high) result = binary(result, high, VARIADIC.Min!);
  return result;
}
