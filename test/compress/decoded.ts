import { multiply } from "../../src/compress/storage/coded.ts";
import type { Digits } from "../../src/compress/storage/digits.ts";
import type { PartRole, StoredWeight } from "../../src/compress/storage/stored-weight.ts";
import { rounded } from "../../src/compress/weight.ts";
import type { FloatArray } from "../../src/kernels/reference/matmul.ts";
import { widen } from "../../src/onnx/constant/half.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { readSparseTensor } from "../../src/onnx/sparse.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { elementCount, type TensorArray, type TensorValue } from "../../src/onnx/tensor-value.ts";

/**
 * The numbers that a runtime computes with, bit for bit, from the stored parts: Float64Array for double, otherwise
 * Float32Array.
 */
export async function decoded(stored: StoredWeight): Promise<FloatArray> {
  const parts = new Map<PartRole, TensorValue>();
  for (const { role, tensor } of stored.parts) {
    parts.set(role, "values" in tensor ? await readSparseTensor(tensor) : await readTensor(tensor));
  }
  const { dims, view, dataType, factors, placement } = stored.decode;
  const values = placed(stored, elementsOf(stored, parts), parts, elementCount(dims));
  // DequantizeLinear's scales are laid out like its blocks.
  const blocked = placement.kind === "dequantize";
  factors.forEach((factor, i) => {
    const numbers = numbersOf(parts.get(`factor${i}`)!);
    if (!(values instanceof Float32Array) || !(numbers instanceof Float32Array)) {
      throw new RangeError("factors are float32");
    }
    if (!blocked) multiply(values, view, { dims: factor.dims, values: numbers });
    else {
      const { axis, blockSize } = placement;
      const around = { before: elementCount(dims.slice(0, axis)), after: elementCount(dims.slice(axis + 1)) };
      const scale = { dims: [], values: numbers, half: factor.half };
      if (blockSize === null) {
        multiply(values, [around.before, dims[axis]!, around.after], { ...scale, dims: [1, dims[axis]!, 1] });
      } else {
        const blocks = dims[axis]! / blockSize;
        multiply(values, [around.before, blocks, blockSize, around.after], {
          ...scale,
          dims: [around.before, blocks, 1, around.after],
        });
      }
    }
  });
  return rounded(dataType, dataType === DataType.DOUBLE ? Float64Array.from(values) : values);
}

/** The elements in the order in which they are stored, or in place where they are a sparse initializer. */
function elementsOf({ decode }: StoredWeight, parts: ReadonlyMap<PartRole, TensorValue>): FloatArray {
  const { elements } = decode;
  const part = parts.get("elements")!;
  if (elements.kind !== "digits") return numbersOf(part);
  const levels = numbersOf(parts.get("levels")!);
  return Float32Array.from(unpackDigits(elements.digits, numeric(part.data)), (code) => levels[code]!);
}

function placed(
  { decode }: StoredWeight,
  elements: FloatArray,
  parts: ReadonlyMap<PartRole, TensorValue>,
  count: number,
): FloatArray {
  const { placement } = decode;
  if (placement.kind !== "mask" && placement.kind !== "gaps") return elements;
  const positions = unpackDigits(placement.digits, numeric(parts.get("positions")!.data));
  const values = elements instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  let at = 0;
  if (placement.kind === "mask") {
    positions.forEach((one, place) => {
      if (one === 1) values[place] = elements[++at]!;
    });
  } else {
    positions.forEach((gap, i) => {
      at += gap;
      values[at] = elements[i]!;
    });
  }
  return values;
}

/** Stored numbers as floats; always a copy that may be changed. */
function numbersOf({ dataType, data }: TensorValue): FloatArray {
  if (dataType === DataType.DOUBLE) return Float64Array.from(numeric(data));
  if (dataType === DataType.FLOAT16) return widen(dataType, numeric(data));
  return Float32Array.from(numeric(data));
}

function numeric(data: TensorArray): ArrayLike<number> {
  if (!ArrayBuffer.isView(data) || data instanceof BigInt64Array || data instanceof BigUint64Array) {
    throw new RangeError("parts hold numbers of at most 32 bits, or doubles");
  }
  return data;
}

/** The inverse of packDigits. */
export function unpackDigits({ base, count }: Digits, words: ArrayLike<number>): Uint8Array {
  const digits = new Uint8Array(count);
  let power = 1;
  for (let at = 0; at < count; at += words.length) {
    const end = Math.min(words.length, count - at);
    for (let i = 0; i < end; i++) digits[at + i] = Math.floor(words[i]! / power) % base;
    power *= base;
  }
  return digits;
}
