import { DataType } from "./data-type.ts";
import { Encoder } from "./encoder.ts";
import { TensorField } from "./fields.ts";
import type { SparseTensor } from "./model.ts";
import { readTensor, tensorOf } from "./tensor.ts";
import { checkSparseTensor, invalidSparse } from "./tensor-layout.ts";
import { elementCount, type TensorArray, type TensorValue } from "./tensor-value.ts";

type NumericArray = Exclude<TensorArray, readonly string[]>;

/**
 * Reads a sparse tensor as a dense one.
 * @throws ModelError `invalid_sparse_tensor` when indices are not ascending or outside the shape.
 */
export async function readSparseTensor(sparse: SparseTensor): Promise<TensorValue> {
  const { dims } = sparse;
  const positions = await readPositions(sparse);
  const { data, dataType } = await readTensor(sparse.values);
  if (!ArrayBuffer.isView(data)) throw invalidSparse(sparse, "holds strings");
  const dense = new (data.constructor as new (length: number) => NumericArray)(elementCount(dims));
  for (let i = 0; i < positions.length; i++) dense[positions[i]!] = data[i]!;
  return { dataType, dims, data: dense };
}

/**
 * Offsets of the values in the dense tensor.
 * @throws ModelError `invalid_sparse_tensor` when indices are not ascending or outside the shape.
 */
export async function readPositions(sparse: SparseTensor): Promise<Float64Array> {
  checkSparseTensor(sparse);
  const { dims } = sparse;
  const { data: indices, dims: indexDims } = await readTensor(sparse.indices);
  const count = indexDims[0]!;
  const sizes = indexDims.length === 1 ? [elementCount(dims)] : dims;
  const positions = new Float64Array(count);
  let before = -1;
  for (let i = 0; i < count; i++) {
    let position = 0;
    for (const [axis, size] of sizes.entries()) {
      const index = Number(indices[i * sizes.length + axis]);
      if (!(index >= 0 && index < size)) {
        throw invalidSparse(sparse, `has the index ${index} outside its shape [${dims}]`);
      }
      position = position * size + index;
    }
    if (position <= before) throw invalidSparse(sparse, "has indices that are not in ascending order");
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
