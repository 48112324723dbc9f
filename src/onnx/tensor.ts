import { bitsPerElement, DataType, dataTypeName } from "./data-type.ts";
import { ModelError } from "./errors.ts";
import { TensorField } from "./fields.ts";
import type { Tensor } from "./model.ts";
import { packedBits, unpackedBits } from "./packed-bits.ts";
import { byteLength, load } from "./source.ts";
import { elementCount, type TensorArray, type TensorValue } from "./tensor-value.ts";
import { varintAt } from "./wire.ts";

type NumericArray = Exclude<TensorArray, readonly string[]>;
type NumericConstructor = new (buffer: ArrayBuffer) => NumericArray;

const ARRAYS: Readonly<Record<number, NumericConstructor>> = {
  [DataType.FLOAT]: Float32Array,
  [DataType.UINT8]: Uint8Array,
  [DataType.INT8]: Int8Array,
  [DataType.UINT16]: Uint16Array,
  [DataType.INT16]: Int16Array,
  [DataType.INT32]: Int32Array,
  [DataType.INT64]: BigInt64Array,
  [DataType.BOOL]: Uint8Array,
  [DataType.FLOAT16]: Uint16Array,
  [DataType.DOUBLE]: Float64Array,
  [DataType.UINT32]: Uint32Array,
  [DataType.UINT64]: BigUint64Array,
  [DataType.COMPLEX64]: Float32Array,
  [DataType.COMPLEX128]: Float64Array,
  [DataType.BFLOAT16]: Uint16Array,
  [DataType.FLOAT8E4M3FN]: Uint8Array,
  [DataType.FLOAT8E4M3FNUZ]: Uint8Array,
  [DataType.FLOAT8E5M2]: Uint8Array,
  [DataType.FLOAT8E5M2FNUZ]: Uint8Array,
  [DataType.UINT4]: Uint8Array,
  [DataType.INT4]: Int8Array,
  [DataType.FLOAT4E2M1]: Uint8Array,
  [DataType.FLOAT8E8M0]: Uint8Array,
  [DataType.UINT2]: Uint8Array,
  [DataType.INT2]: Int8Array,
};

const SIGNED_PACKED = new Set<number>([DataType.INT4, DataType.INT2]);

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

/** Bytes of `elements` numbers in raw_data. */
export function rawByteLength(dataType: number, elements: number): number | undefined {
  const bits = bitsPerElement(dataType);
  return bits === undefined ? undefined : Math.ceil((elements * bits) / 8);
}

/** Bytes that the tensor's payload takes in the file, without tags; of an absent external file, by its shape. */
export function tensorByteLength(tensor: Tensor): number {
  const { data } = tensor;
  switch (data.kind) {
    case "raw":
    case "typed":
      return byteLength(data.bytes);
    case "strings":
      return data.values.reduce((sum, value) => sum + value.length, 0);
    case "external":
      return data.span?.length ?? rawByteLength(tensor.dataType, elementCount(tensor.dims)) ?? 0;
  }
}

/**
 * Reads a tensor's numbers. Complex types come as pairs (real, imaginary): twice as many entries as elements.
 * @throws ModelError when shape, type and data do not agree, or the external file is missing.
 */
export async function readTensor(tensor: Tensor): Promise<TensorValue> {
  const { dataType, dims, data } = tensor;
  const elements = elementCount(dims);
  if (data.kind === "strings") {
    if (dataType !== DataType.STRING) throw wrongField(tensor);
    if (data.values.length !== elements) throw mismatch(tensor, `${data.values.length} strings`);
    const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
    return { dataType, dims, data: data.values.map((value) => utf8.decode(value)) };
  }
  if (dataType === DataType.STRING && elements === 0) return { dataType, dims, data: [] };
  const length = rawByteLength(dataType, elements);
  if (length === undefined) throw unknownType(tensor);
  if (data.kind === "external" && data.span === null) {
    throw new ModelError(
      "external_data_missing",
      `tensor "${tensor.name}" has its data in the file "${data.location}", which did not come with the model; upload both together`,
    );
  }
  if (data.kind === "typed" && data.field !== typedFieldOf(dataType)) throw wrongField(tensor);
  const payload = data.kind === "external" ? data.span! : data.bytes;
  const stored = byteLength(payload);
  if (data.kind === "typed" ? !typedLengthFits(tensor, stored) : stored !== length) {
    throw mismatch(tensor, `${stored} bytes`);
  }
  const bytes = await load(payload);
  const raw = data.kind === "typed" ? fromTyped(tensor, data.field, bytes, length) : bytes;
  return { dataType, dims, data: fromRaw(dataType, raw, elements) };
}

/** A tensor with raw_data (string_data for strings) of these numbers. */
export function tensorOf(name: string, value: TensorValue): Tensor {
  const { dataType, dims, data } = value;
  if (!ArrayBuffer.isView(data)) {
    const utf8 = new TextEncoder();
    return { name, dataType, dims, data: { kind: "strings", values: data.map((text) => utf8.encode(text)) } };
  }
  const bits = bitsPerElement(dataType);
  if (bits === undefined) throw new RangeError(`no raw encoding for data type ${dataType}`);
  const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bytes = bits < 8 ? packedBits(view, bits) : view.slice();
  if (bytes.length !== rawByteLength(dataType, elementCount(dims))) {
    throw new RangeError(`${data.length} ${dataTypeName(dataType)} do not fill a tensor of [${dims}]`);
  }
  return { name, dataType, dims, data: { kind: "raw", bytes } };
}

/**
 * Whether the encoded length of a typed field can hold the tensor's elements: exactly for fixed-width fields, within
 * 1 to 10 bytes a varint otherwise.
 */
export function typedLengthFits(tensor: Tensor, stored: number): boolean {
  const entries = typedEntries(tensor.dataType, elementCount(tensor.dims));
  if (tensor.data.kind !== "typed") return false;
  if (tensor.data.field === TensorField.floatData) return stored === entries * 4;
  if (tensor.data.field === TensorField.doubleData) return stored === entries * 8;
  return stored >= entries && stored <= entries * 10;
}

/** Numbers that the typed field holds: two a complex element, one for each byte of packed 4-bit and 2-bit types. */
function typedEntries(dataType: number, elements: number): number {
  if (dataType === DataType.COMPLEX64 || dataType === DataType.COMPLEX128) return elements * 2;
  const bits = bitsPerElement(dataType) ?? 8;
  return bits < 8 ? Math.ceil((elements * bits) / 8) : elements;
}

/** raw_data of what a typed field holds. */
function fromTyped(tensor: Tensor, field: number, bytes: Uint8Array, length: number): Uint8Array {
  if (field === TensorField.floatData || field === TensorField.doubleData) return bytes;
  const raw = new Uint8Array(length);
  const view = new DataView(raw.buffer);
  const entries = typedEntries(tensor.dataType, elementCount(tensor.dims));
  const width = entries === 0 ? 1 : length / entries;
  let at = 0;
  for (let i = 0; i < entries; i++) {
    if (width === 8) {
      const [value, next] = bigVarintAt(bytes, at) ?? [0n, 0];
      if (next === 0) throw mismatch(tensor, `${i} numbers`);
      view.setBigUint64(i * 8, value, true);
      at = next;
      continue;
    }
    const [value, next] = varintAt(bytes, at) ?? [0, 0];
    if (next === 0) throw mismatch(tensor, `${i} numbers`);
    if (width === 4) view.setUint32(i * 4, value, true);
    else if (width === 2) view.setUint16(i * 2, value, true);
    else raw[i] = value;
    at = next;
  }
  if (at !== bytes.length) throw mismatch(tensor, `more than ${entries} numbers`);
  return raw;
}

/** Typed arrays are little endian on every engine that Hone runs on, as raw_data is. */
function fromRaw(dataType: number, raw: Uint8Array, elements: number): NumericArray {
  const bits = bitsPerElement(dataType)!;
  if (bits < 8) {
    const unpacked = unpackedBits(raw, bits, elements, SIGNED_PACKED.has(dataType));
    return new ARRAYS[dataType]!(unpacked.buffer);
  }
  return new ARRAYS[dataType]!(raw.slice().buffer);
}

function bigVarintAt(bytes: Uint8Array, at: number): [value: bigint, next: number] | null {
  let low = 0;
  let high = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined) return null;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high |= bits >>> 4;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) return [(BigInt(high >>> 0) << 32n) | BigInt(low >>> 0), at];
  }
  return null;
}

function mismatch(tensor: Tensor, found: string): ModelError {
  return new ModelError(
    "shape_bytes_mismatch",
    `tensor "${tensor.name}" of shape [${tensor.dims}] and type ${dataTypeName(tensor.dataType)} holds ${found}; export the model again`,
  );
}

function wrongField(tensor: Tensor): ModelError {
  return new ModelError(
    "wrong_data_field",
    `tensor "${tensor.name}" of type ${dataTypeName(tensor.dataType)} has its data in a field for another type; export the model again`,
  );
}

function unknownType(tensor: Tensor): ModelError {
  return new ModelError(
    "unknown_data_type",
    `tensor "${tensor.name}" has ${dataTypeName(tensor.dataType)}, which ONNX does not define for raw data; export the model again`,
  );
}
