import { DataType } from "./data-type.ts";
import { Encoder } from "./encoder.ts";
import { ModelError } from "./errors.ts";
import { TensorField } from "./fields.ts";
import type { SparseTensor } from "./model.ts";
import { readTensor, tensorOf } from "./tensor.ts";
import { elementCount, type TensorArray, type TensorValue } from "./tensor-value.ts";

type NumericArray = Exclude<TensorArray, readonly string[]>;

/** The most bytes a sparse tensor may take when it is made dense. */
const MAX_DENSE_BYTES = 2 ** 31 - 1;

/**
 * Reads a sparse tensor as a dense one.
 * @throws ModelError `invalid_sparse_tensor` when indices are unsorted, outside the shape or of the wrong number.
 */
export async function readSparseTensor(sparse: SparseTensor): Promise<TensorValue> {
  const { name } = sparse.values;
  const { dims } = sparse;
  const values = await readTensor(sparse.values);
  const indices = await readTensor(sparse.indices);
  const elements = elementCount(dims);
  if (!ArrayBuffer.isView(values.data)) throw invalid(name, "holds strings");
  if (!(elements * values.data.BYTES_PER_ELEMENT <= MAX_DENSE_BYTES)) {
    throw invalid(name, `has the shape [${dims}], too large to be made dense`);
  }
  if (!(indices.data instanceof BigInt64Array)) throw invalid(name, "has indices that are not int64");
  const dense = new (values.data.constructor as new (length: number) => NumericArray)(elements);
  const positions = linearIndices(name, indices.data, indices.dims, dims, values.data.length);
  for (let i = 0; i < positions.length; i++) dense[positions[i]!] = values.data[i]!;
  return { dataType: values.dataType, dims, data: dense };
}

/** Offsets of the values in the dense tensor, checked to be ascending and inside it. */
function linearIndices(
  name: string,
  indices: BigInt64Array,
  indexDims: readonly number[],
  dims: readonly number[],
  count: number,
): Float64Array {
  const rank = dims.length;
  const width = indexDims.length === 1 ? 1 : rank;
  const fits =
    indexDims[0] === count && (indexDims.length === 1 || (indexDims.length === 2 && indexDims[1] === rank));
  if (!fits) throw invalid(name, `has ${count} values but indices of shape [${indexDims}]`);
  const sizes = width === 1 ? [elementCount(dims)] : dims;
  const positions = new Float64Array(count);
  let before = -1;
  for (let i = 0; i < count; i++) {
    let position = 0;
    for (let axis = 0; axis < width; axis++) {
      const index = Number(indices[i * width + axis]);
      const size = sizes[axis]!;
      if (index < 0 || index >= size) throw invalid(name, `has index ${index} outside its shape [${dims}]`);
      position = position * size + index;
    }
    if (position <= before) throw invalid(name, "has indices that are not in ascending order");
    positions[i] = position;
    before = position;
  }
  return positions;
}

/**
 * A sparse tensor of a dense one: values as raw_data, linear indices as varints (int64_data), 1 to 3 bytes each.
 * Negative zero is kept as a value, so that the dense tensor comes back bit for bit.
 */
export function sparseTensorOf(name: string, value: TensorValue): SparseTensor {
  const { dims, dataType, data } = value;
  if (!ArrayBuffer.isView(data)) throw new RangeError("a tensor of strings has no sparse form");
  let count = 0;
  for (let i = 0; i < data.length; i++) if (isStored(data[i]!)) count++;
  const values = new (data.constructor as new (length: number) => NumericArray)(count);
  const indices = new Encoder();
  let at = 0;
  for (let i = 0; i < data.length; i++) {
    if (!isStored(data[i]!)) continue;
    values[at++] = data[i]!;
    indices.varint(i);
  }
  return {
    values: tensorOf(name, { dataType, dims: [count], data: values }),
    indices: {
      name: "",
      dataType: DataType.INT64,
      dims: [count],
      data: { kind: "typed", field: TensorField.int64Data, bytes: indices.bytesSoFar() },
    },
    dims,
  };
}

function isStored(value: number | bigint): boolean {
  return typeof value === "bigint" ? value !== 0n : !Object.is(value, 0);
}

function invalid(name: string, what: string): ModelError {
  return new ModelError("invalid_sparse_tensor", `sparse tensor "${name}" ${what}; export the model again`);
}
