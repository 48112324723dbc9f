import { elementCount } from "../../onnx/tensor-value.ts";
import type { MatrixLayout } from "../layer-matrix.ts";

/** Dims in which the scales of a layer's matrices broadcast over its weight. */
export interface MatrixView {
  /** The weight's own dims where that goes, so that nothing has to be reshaped. */
  readonly view: readonly number[];
  /** Of a scale for every row and group of columns. */
  readonly rowDims: readonly number[];
}

/** @param group columns that share a scale: a divisor of the columns, or all of them */
export function matrixView(layout: MatrixLayout, dims: readonly number[], group: number): MatrixView {
  const { count, rows, columns, transposed } = layout;
  if (columns % group !== 0 && columns > 0) {
    throw new RangeError(`groups of ${group} do not divide ${columns} columns`);
  }
  const axes = transposed ? [count, columns, rows] : [count, rows, columns];
  const [a, b] = group === columns ? splits(dims, axes) : [null, null];
  if (a !== null && b !== null) {
    const ones = (from: number, to: number) => dims.slice(from, to).map(() => 1);
    const [matrices, middle, last] = [dims.slice(0, a), dims.slice(a, b), dims.slice(b)];
    const rowDims = transposed
      ? [...matrices, ...ones(a, b), ...last]
      : [...matrices, ...middle, ...ones(b, dims.length)];
    return { view: dims, rowDims };
  }
  const blocks = group === 0 ? 1 : columns / group;
  const matrices = count === 1 ? [] : [count];
  return transposed
    ? { view: [...matrices, blocks, group, rows], rowDims: [...matrices, blocks, 1, rows] }
    : { view: [...matrices, rows, blocks, group], rowDims: [...matrices, rows, blocks, 1] };
}

/** Where the dims can be cut so that the three pieces have these sizes; null where they cannot. */
function splits(dims: readonly number[], sizes: readonly number[]): [number, number] | [null, null] {
  for (let a = 0; a <= dims.length; a++) {
    if (elementCount(dims.slice(0, a)) !== sizes[0]) continue;
    for (let b = a; b <= dims.length; b++) {
      if (elementCount(dims.slice(a, b)) === sizes[1] && elementCount(dims.slice(b)) === sizes[2])
        return [a, b];
    }
  }
  return [null, null];
}
