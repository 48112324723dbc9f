import { elementCount } from "../../onnx/tensor-value.ts";
import type { Activation, Vectors } from "./vectors.ts";

/**
 * Vectors of the side of a product that is computed: rows of x where its features lie along the last axis, else
 * columns. Leading axes of x and of the weight are broadcast against each other as in numpy.matmul; the
 * weight's own make a batch of matrices, each with the vectors that it meets.
 *
 * @param batch leading dims of the weight
 */
export function matrixVectors(x: Activation, featuresLast: boolean, batch: readonly number[]): Vectors {
  const isVector = x.dims.length === 1;
  const dims = isVector ? [1, ...x.dims] : x.dims;
  const last = isVector || featuresLast;
  const [height, width] = dims.slice(-2) as [number, number];
  const [n, rows] = last ? [width, height] : [height, width];
  const rank = Math.max(dims.length - 2, batch.length);
  const ours = leading(dims.slice(0, -2), rank);
  const theirs = leading(batch, rank);
  // Axes along which x has more than one entry for the same matrix.
  const repeated = ours.map((dim, axis) => (theirs[axis] === 1 ? dim : 1));
  const step = last ? 1 : width;
  return {
    matrices: elementCount(batch),
    n,
    count: elementCount(repeated) * rows,
    write(matrix, index, out, at) {
      let of = matrix;
      let entry = Math.floor(index / rows);
      let slice = 0;
      let pitch = 1;
      for (let axis = rank - 1; axis >= 0; axis--) {
        const [our, their, more] = [ours[axis]!, theirs[axis]!, repeated[axis]!];
        if (their > 1) slice += our === 1 ? 0 : (of % their) * pitch;
        else slice += (entry % more) * pitch;
        of = Math.floor(of / their);
        entry = Math.floor(entry / more);
        pitch *= our;
      }
      const row = index % rows;
      let from = slice * height * width + (last ? row * width : row);
      for (let c = 0; c < n; c++) {
        out[at + c] = x.data[from]!;
        from += step;
      }
    },
  };
}

function leading(dims: readonly number[], rank: number): number[] {
  return [...Array.from({ length: rank - dims.length }, () => 1), ...dims];
}
