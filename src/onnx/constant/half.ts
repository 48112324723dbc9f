import { DataType } from "../data-type.ts";

/** Bit patterns of float16 or bfloat16 as float32, exactly. */
export function widen(dataType: number, data: ArrayLike<number>): Float32Array {
  if (dataType === DataType.FLOAT16) return Float32Array.from(data, fromFloat16);
  // bfloat16 is the upper half of a float32.
  return new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);
}

/** Numbers as bit patterns of float16 or bfloat16: to float32 first as ONNX Runtime does, each step half to even. */
export function narrow(dataType: number, data: ArrayLike<number>): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(data).buffer);
  return Uint16Array.from(bits, dataType === DataType.FLOAT16 ? toFloat16 : toBfloat16);
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * POWERS[exponent]!;
}

/** 2^(exponent − 15): looked up, because powers are slow. */
const POWERS: readonly number[] = Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 15));

/** From the bits of a float32; what rounds past 65504 becomes infinity. */
function toFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 the result is subnormal, a multiple of 2^-24.
    const exponent = magnitude >>> 23;
    const fraction = (magnitude & 0x7fffff) | (exponent === 0 ? 0 : 0x800000);
    return sign | roundHalfEven(fraction * 2 ** (Math.max(exponent, 1) - 150 + 24));
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

function toBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * A function that rounds one number to float16 as {@link narrow} and {@link widen} do; finite numbers stay finite, and
 * numbers other than zero stay so. It has a buffer of its own.
 */
export function halfRounding(): (value: number) => number {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  return (value) => {
    if (value === 0) return 0;
    const size = Math.min(MOST_HALF, Math.max(LEAST_HALF, Math.abs(value)));
    float[0] = value < 0 ? -size : size;
    return fromFloat16(toFloat16(bits[0]!));
  };
}

const MOST_HALF = 65504;
const LEAST_HALF = 2 ** -24;

/** To the nearest integer, halves to the even one: ONNX's Round. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
