import { DataType } from "../onnx/data-type.ts";
import type { TensorValue } from "../onnx/tensor-value.ts";

/** In three axes, this many columns are a vocabulary rather than coordinates. */
const VOCABULARY = 256;

/**
 * Whether an output looks like class scores, one row a sample (or a position of it): floats of two axes with two
 * columns or more; or of three axes whose rows are probabilities, or have {@link VOCABULARY} columns or more.
 */
export function looksLikeScores(output: TensorValue): boolean {
  const columns = output.dims.at(-1) ?? 0;
  if (output.dataType !== DataType.FLOAT && output.dataType !== DataType.DOUBLE) return false;
  if (columns < 2 || output.data.length === 0) return false;
  if (output.dims.length === 2) return true;
  return output.dims.length === 3 && (columns >= VOCABULARY || rowsAreProbabilities(output, columns));
}

function rowsAreProbabilities({ data }: TensorValue, columns: number): boolean {
  const values = data as Float32Array;
  for (let row = 0; row < values.length; row += columns) {
    let sum = 0;
    for (let i = row; i < row + columns; i++) {
      if (!(values[i]! >= 0)) return false;
      sum += values[i]!;
    }
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

/** Column of the largest value of each row along the last axis, the first of equals; −1 where all are NaN. */
export function largestOfRows(output: TensorValue): Int32Array {
  const columns = output.dims.at(-1) ?? 1;
  const values = output.data as Float32Array;
  const result = new Int32Array(columns === 0 ? 0 : values.length / columns).fill(-1);
  for (let row = 0; row < result.length; row++) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let column = 0; column < columns; column++) {
      const value = values[row * columns + column]!;
      if (value > largest || (value === largest && result[row] === -1)) {
        largest = value;
        result[row] = column;
      }
    }
  }
  return result;
}
