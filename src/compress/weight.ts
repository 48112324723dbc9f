import type { FloatArray } from "../kernels/reference/matmul.ts";
import { narrow, widen } from "../onnx/constant/half.ts";
import { DataType } from "../onnx/data-type.ts";
import type { TensorArray, TensorValue } from "../onnx/tensor-value.ts";

/** A layer's weight as numbers to compute with, whatever type the file stores. */
export interface LayerWeight {
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly values: FloatArray;
}

/** The numbers of a stored tensor; undefined for types that are not compressed (integers, bfloat16, …). */
export function weightOf(value: TensorValue): LayerWeight | undefined {
  const { dataType, dims, data } = value;
  if (dataType === DataType.FLOAT && data instanceof Float32Array) return { dataType, dims, values: data };
  if (dataType === DataType.DOUBLE && data instanceof Float64Array) return { dataType, dims, values: data };
  if (dataType === DataType.FLOAT16 && data instanceof Uint16Array) {
    return { dataType, dims, values: widen(dataType, data) };
  }
  return undefined;
}

/** Numbers as the given type stores them; the inverse of {@link weightOf}. */
export function storedAs(dataType: number, values: FloatArray): TensorArray {
  if (dataType === DataType.FLOAT16) return narrow(dataType, values);
  if (dataType === DataType.DOUBLE)
    return values instanceof Float64Array ? values : Float64Array.from(values);
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** The numbers that come back after the type's rounding. */
export function rounded(dataType: number, values: FloatArray): FloatArray {
  if (dataType === DataType.FLOAT16) return widen(dataType, narrow(dataType, values));
  if (dataType === DataType.DOUBLE) return values;
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

export function countNonzero(values: Exclude<TensorArray, readonly string[]>): number {
  let count = 0;
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    for (let i = 0; i < values.length; i++) if (values[i] !== 0n) count += 1;
    return count;
  }
  // No branch: of a pruned weight it would be guessed wrong half of the time.
  for (let i = 0; i < values.length; i++) count += Number(values[i] !== 0);
  return count;
}

/** {@link countNonzero} and {@link energy} in one pass. */
export function measured(values: FloatArray): { nonzero: number; energy: number } {
  let [nonzero, energy] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    nonzero += Number(value !== 0);
    energy += value * value;
  }
  return { nonzero, energy };
}

/** ‖W‖², in double precision. */
export function energy(values: FloatArray): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}

/**
 * ‖Ŵ − W‖² / ‖W‖²; 0 where nothing changed, 1 where a change meets an original of zeros.
 * @param total ‖W‖²
 */
export function relativeError(original: FloatArray, changed: FloatArray, total: number): number {
  let lost = 0;
  for (let i = 0; i < original.length; i++) {
    const change = changed[i]! - original[i]!;
    lost += change * change;
  }
  return total > 0 ? lost / total : lost > 0 ? 1 : 0;
}
