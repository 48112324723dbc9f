import { narrow, widen } from "../../onnx/constant/half.ts";
import { copyRun } from "../../onnx/constant/values.ts";
import { DataType } from "../../onnx/data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../../onnx/tensor-value.ts";
import { type Box, lengthOf, type Range, sameBox } from "./box.ts";

/** A tensor that is a part of a larger one, and which part. */
export interface HeldTensor {
  readonly box: Box;
  readonly tensor: TensorValue;
}

type Writable = Exclude<TensorArray, readonly string[]> | string[];

const HALVES: ReadonlySet<number> = new Set([DataType.FLOAT16, DataType.BFLOAT16]);

/** The part `box` of what is held, which contains it. */
export function cut(held: HeldTensor, box: Box): TensorValue {
  if (sameBox(held.box, box)) return held.tensor;
  return gathered(held.tensor.dataType, box, [{ held, box }]);
}

/** Slices put together; what no piece covers stays zero. */
export function gathered(
  dataType: number,
  box: Box,
  pieces: readonly { held: HeldTensor; box: Box }[],
): TensorValue {
  const [first] = pieces;
  if (first && sameBox(first.box, box) && sameBox(first.held.box, box)) return first.held.tensor;
  const dims = box.map(lengthOf);
  const data = zerosLike(first?.held.tensor.data, elementCount(dims));
  for (const { held, box: shared } of pieces) {
    const from = held.tensor.data;
    eachRun(shared, held.box, box, (source, target, count) => copyRun(data, target, from, source, count));
  }
  return { dataType, dims, data };
}

/** Partial sums added up in double precision. */
export function summed(
  dataType: number,
  box: Box,
  pieces: readonly { held: HeldTensor; box: Box }[],
): TensorValue {
  const dims = box.map(lengthOf);
  const sums = new Float64Array(elementCount(dims));
  for (const { held, box: shared } of pieces) {
    const from = numbersOf(held.tensor);
    eachRun(shared, held.box, box, (source, target, count) => {
      for (let i = 0; i < count; i++)
        sums[target + i] = (sums[target + i] as number) + (from[source + i] as number);
    });
  }
  const data = HALVES.has(dataType)
    ? narrow(dataType, sums)
    : dataType === DataType.DOUBLE
      ? sums
      : Float32Array.from(sums);
  return { dataType, dims, data };
}

/** The entries as numbers: halves widened, large integers rounded, of strings their hash. */
export function numbersOf({ dataType, data }: TensorValue): ArrayLike<number> {
  if (HALVES.has(dataType)) return widen(dataType, data as Uint16Array);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number);
  return ArrayBuffer.isView(data) ? (data as Float32Array) : data.map(hashOf);
}

function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

function zerosLike(like: TensorArray | undefined, count: number): Writable {
  if (!ArrayBuffer.isView(like)) return new Array<string>(count).fill("");
  return new (like.constructor as new (length: number) => Exclude<TensorArray, readonly string[]>)(count);
}

/** Runs of entries that lie next to each other in both: `region`, inside the boxes that two tensors are of. */
export function eachRun(
  region: Box,
  source: Box,
  target: Box,
  visit: (source: number, target: number, count: number) => void,
): void {
  const rank = region.length;
  if (rank === 0) {
    visit(0, 0, 1);
    return;
  }
  const strides = (box: Box): number[] => {
    const found = new Array<number>(rank).fill(1);
    for (let axis = rank - 2; axis >= 0; axis--) {
      found[axis] = (found[axis + 1] as number) * lengthOf(box[axis + 1] as Range);
    }
    return found;
  };
  const [from, to] = [strides(source), strides(target)];
  const descend = (axis: number, sourceAt: number, targetAt: number): void => {
    const range = region[axis] as Range;
    const first = sourceAt + (range.from - source[axis]!.from) * (from[axis] as number);
    const second = targetAt + (range.from - target[axis]!.from) * (to[axis] as number);
    if (axis === rank - 1) {
      visit(first, second, lengthOf(range));
      return;
    }
    for (let i = 0; i < lengthOf(range); i++) {
      descend(axis + 1, first + i * (from[axis] as number), second + i * (to[axis] as number));
    }
  };
  descend(0, 0, 0);
}
