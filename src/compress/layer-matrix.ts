import type { FloatArray } from "../kernels/reference/matmul.ts";
import type { LayerGeometry } from "../onnx/layer-geometry.ts";

/**
 * How a stored weight is seen as matrices W of rows × columns with Y = W·X: a matrix for each group of a convolution,
 * direction of a recurrent layer or matrix of a batch. Rows come out, columns are summed over. JSON.
 *
 * | layer | count | rows | columns |
 * |---|---|---|---|
 * | Conv | groups | c_out/groups | c_in/groups · k², input channel major |
 * | ConvTranspose | groups | c_out/groups · k², output channel major | c_in/groups |
 * | MatMul, Gemm | leading dims | output features | input features |
 * | LSTM, GRU, RNN | directions | gates · hidden | input or hidden size |
 * | Gather | 1 | entries | width |
 */
export interface MatrixLayout {
  readonly count: number;
  readonly rows: number;
  readonly columns: number;
  /** The weight stores each matrix column by column. */
  readonly transposed: boolean;
}

/** null for a table whose entries do not lie along its first or last axis. */
export function layoutOf(geometry: LayerGeometry, dims: readonly number[]): MatrixLayout | null {
  const count = dims.reduce((product, dim) => product * dim, 1);
  switch (geometry.kind) {
    case "convolution": {
      const { groups, inputChannels, outputChannels, transposed } = geometry;
      const kernel = dims.slice(2).reduce((product, dim) => product * dim, 1);
      const [out, into] = [outputChannels / groups, inputChannels / groups];
      return transposed
        ? { count: groups, rows: out * kernel, columns: into, transposed: true }
        : { count: groups, rows: out, columns: into * kernel, transposed: false };
    }
    case "matrix": {
      const { inputFeatures: columns, outputFeatures: rows, inputAxis, outputAxis } = geometry;
      return { count: count / (rows * columns), rows, columns, transposed: inputAxis < outputAxis };
    }
    case "recurrent": {
      const { directions, gates, hidden, inputFeatures } = geometry;
      return { count: directions, rows: gates * hidden, columns: inputFeatures, transposed: false };
    }
    case "embedding": {
      const { axis, entries, width } = geometry;
      if (axis !== 0 && axis !== dims.length - 1) return null;
      return { count: 1, rows: entries, columns: width, transposed: axis !== 0 };
    }
  }
}

/** The matrices, one after the other, each row major: count × rows × columns, always a copy. */
export function toMatrices(layout: MatrixLayout, weight: FloatArray): Float32Array {
  const matrices = inMatrixOrder(layout, weight);
  return matrices === weight ? matrices.slice() : matrices;
}

/** The inverse of {@link toMatrices}. */
export function fromMatrices(layout: MatrixLayout, matrices: Float32Array): Float32Array {
  const weight = inFileOrder(layout, matrices);
  return weight === matrices ? weight.slice() : weight;
}

/** {@link toMatrices}, but not always a copy. */
export function inMatrixOrder(layout: MatrixLayout, weight: FloatArray): Float32Array {
  const { rows, columns, transposed } = layout;
  const values = weight instanceof Float32Array ? weight : new Float32Array(weight);
  return transposed ? transposedEach(values, columns, rows) : values;
}

/** What stands for the elements of the matrices one by one, in the order of the stored weight; not always a copy. */
export function inFileOrder<T extends Float32Array | Uint8Array>(layout: MatrixLayout, elements: T): T {
  const { rows, columns, transposed } = layout;
  return transposed ? transposedEach(elements, rows, columns) : elements;
}

/** Rows that become columns together: as many lines of the cache are read side by side, even where they lie powers of two apart. */
const TOGETHER = 8;

function transposedEach<T extends Float32Array | Uint8Array>(from: T, rows: number, columns: number): T {
  const to = new (from.constructor as new (length: number) => T)(from.length);
  for (let first = 0; first < to.length; first += rows * columns) {
    for (let top = 0; top < rows; top += TOGETHER) {
      const width = Math.min(TOGETHER, rows - top);
      for (let c = 0; c < columns; c++) {
        const end = first + c * rows + top + width;
        let at = first + top * columns + c;
        for (let i = end - width; i < end; i++) {
          to[i] = from[at]!;
          at += columns;
        }
      }
    }
  }
  return to;
}
