import { bitsPerElement, DataType, dataTypeName } from "./data-type.ts";
import { ModelError } from "./errors.ts";
import { TensorField } from "./fields.ts";
import type { SparseTensor, Tensor } from "./model.ts";
import { byteLength } from "./source.ts";
import { elementCount } from "./tensor-value.ts";

/** A sparse tensor may be made dense up to 64 MiB, or up to this many times the bytes that it stores. */
const DENSE_BYTES = 64 * 2 ** 20;
const DENSE_RATIO = 1024;
const DENSE_ELEMENT_BYTES = 8;

/** The typed field that may hold a data type; undefined where the type is not known. */
export function typedFieldOf(dataType: number): number | undefined {
  switch (dataType) {
    case DataType.FLOAT:
    case DataType.COMPLEX64:
      return TensorField.floatData;
    case DataType.DOUBLE:
    case DataType.COMPLEX128:
      return TensorField.doubleData;
    case DataType.INT64:
      return TensorField.int64Data;
    case DataType.UINT32:
    case DataType.UINT64:
      return TensorField.uint64Data;
    case DataType.STRING:
      return TensorField.stringData;
    default:
      return bitsPerElement(dataType) === undefined ? undefined : TensorField.int32Data;
  }
}

/** Bytes of `elements` numbers in raw_data; undefined for strings and unknown types. */
export function rawByteLength(dataType: number, elements: number): number | undefined {
  const bits = bitsPerElement(dataType);
  return bits === undefined ? undefined : Math.ceil((elements * bits) / 8);
}

/** Numbers that a typed field holds: two a complex element, one for each byte of packed 4-bit and 2-bit types. */
export function typedEntries(dataType: number, elements: number): number {
  if (dataType === DataType.COMPLEX64 || dataType === DataType.COMPLEX128) return elements * 2;
  const bits = bitsPerElement(dataType) ?? 8;
  return bits < 8 ? Math.ceil((elements * bits) / 8) : elements;
}

/**
 * Checks shape, type and data of a tensor against each other without reading the data. A typed field of varints is
 * checked to hold a possible number of bytes; only reading it shows the rest.
 * @throws ModelError with one code a cause.
 */
export function checkTensor(tensor: Tensor): void {
  const { name, dataType, dims, data } = tensor;
  const elements = checkDims(name, dims);
  if (dataType === DataType.STRING) {
    const count = data.kind === "strings" ? data.values.length : 0;
    if (data.kind !== "strings" && tensorPayloadLength(tensor) > 0) throw wrongField(tensor);
    if (count !== elements) throw mismatch(tensor, `${count} strings`);
    return;
  }
  const length = rawByteLength(dataType, elements);
  if (length === undefined) {
    throw new ModelError(
      "unknown_data_type",
      `tensor "${name}" has the data type ${dataType}, which this version does not know; export the model with another type`,
    );
  }
  if (data.kind === "strings") throw wrongField(tensor);
  const stored = tensorPayloadLength(tensor);
  if (data.kind === "typed") {
    if (data.field !== typedFieldOf(dataType)) throw wrongField(tensor);
    if (!typedLengthFits(data.field, typedEntries(dataType, elements), stored)) {
      throw mismatch(tensor, `${stored} bytes of encoded numbers`);
    }
  } else if (stored !== length && !(data.kind === "external" && data.span === null)) {
    throw mismatch(tensor, `${stored} bytes instead of ${length}`);
  }
}

/**
 * Checks types and shapes of a sparse tensor; its indices are checked when they are read.
 * @throws ModelError with one code a cause.
 */
export function checkSparseTensor(sparse: SparseTensor): void {
  const { values, indices, dims } = sparse;
  checkTensor(values);
  checkTensor(indices);
  const elements = checkDims(values.name, dims);
  const stored = tensorPayloadLength(values) + tensorPayloadLength(indices);
  if (elements * DENSE_ELEMENT_BYTES > DENSE_BYTES + stored * DENSE_RATIO) {
    throw invalidSparse(sparse, `states the shape [${dims}], far too large for its ${stored} bytes`);
  }
  const count = values.dims[0];
  const linear = indices.dims.length === 1;
  const fits =
    values.dims.length === 1 &&
    indices.dims[0] === count &&
    (linear || (indices.dims.length === 2 && indices.dims[1] === dims.length));
  if (!fits || dims.length === 0) {
    throw invalidSparse(
      sparse,
      `of shape [${dims}] has values of shape [${values.dims}] and indices of shape [${indices.dims}], which do not fit`,
    );
  }
  if (values.dataType === DataType.STRING) throw invalidSparse(sparse, "holds strings");
  if (indices.dataType !== DataType.INT64) {
    throw invalidSparse(sparse, `has ${dataTypeName(indices.dataType)} indices instead of int64`);
  }
}

/**
 * Number of elements of a shape that a file declares.
 * @throws ModelError `dimension_overflow` for negative sizes and for products past 2^53.
 */
export function checkDims(name: string, dims: readonly number[]): number {
  const elements = elementCount(dims);
  if (dims.some((dim) => dim < 0) || !Number.isSafeInteger(elements) || !dims.every(Number.isSafeInteger)) {
    throw new ModelError(
      "dimension_overflow",
      `tensor "${name}" has the shape [${dims}], with a size that is negative or a product too large; export the model again`,
    );
  }
  return elements;
}

export function mismatch(tensor: Tensor, found: string): ModelError {
  return new ModelError(
    "shape_bytes_mismatch",
    `tensor "${tensor.name}" of shape [${tensor.dims}] and type ${dataTypeName(tensor.dataType)} holds ${found}; export the model again`,
  );
}

export function invalidSparse(sparse: SparseTensor, what: string): ModelError {
  return new ModelError(
    "invalid_sparse_tensor",
    `sparse tensor "${sparse.values.name}" ${what}; export the model again`,
  );
}

function typedLengthFits(field: number, entries: number, stored: number): boolean {
  if (field === TensorField.floatData) return stored === entries * 4;
  if (field === TensorField.doubleData) return stored === entries * 8;
  return stored >= entries && stored <= entries * 10;
}

function tensorPayloadLength({ data }: Tensor): number {
  switch (data.kind) {
    case "raw":
    case "typed":
      return byteLength(data.bytes);
    case "external":
      return data.span?.length ?? 0;
    case "strings":
      return data.values.length;
  }
}

function wrongField(tensor: Tensor): ModelError {
  return new ModelError(
    "wrong_data_field",
    `tensor "${tensor.name}" of type ${dataTypeName(tensor.dataType)} has its data in a field for another type; export the model again`,
  );
}
