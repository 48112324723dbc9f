import { bitsPerElement, DataType, dataTypeName } from "./data-type.ts";
import { ModelError } from "./errors.ts";
import { TensorField } from "./fields.ts";
import type { Tensor } from "./model.ts";
import { packedBits, unpackedBits } from "./packed-bits.ts";
import { byteLength, load } from "./source.ts";
import { checkTensor, mismatch, rawByteLength, typedEntries, typedFieldOf } from "./tensor-layout.ts";
import { elementCount, type TensorArray, type TensorValue } from "./tensor-value.ts";
import { varintAt } from "./wire.ts";

type NumericArray = Exclude<TensorArray, readonly string[]>;
type NumericConstructor = {
  new (buffer: ArrayBufferLike, offset?: number, length?: number): NumericArray;
  readonly BYTES_PER_ELEMENT: number;
};

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
  checkTensor(tensor);
  const { dataType, dims, data } = tensor;
  if (data.kind === "strings") {
    const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
    return { dataType, dims, data: data.values.map((value) => utf8.decode(value)) };
  }
  if (dataType === DataType.STRING) return { dataType, dims, data: [] };
  const payload = data.kind === "external" ? data.span : data.bytes;
  if (payload === null) throw missingFile(tensor);
  const bytes = await load(payload);
  return { dataType, dims, data: fromRaw(tensor, data.kind === "typed" ? fromTyped(tensor, bytes) : bytes) };
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

/** raw_data of what a typed field holds. */
function fromTyped(tensor: Tensor, bytes: Uint8Array): Uint8Array {
  const field = typedFieldOf(tensor.dataType);
  if (field === TensorField.floatData || field === TensorField.doubleData) return bytes;
  const elements = elementCount(tensor.dims);
  const entries = typedEntries(tensor.dataType, elements);
  const length = rawByteLength(tensor.dataType, elements)!;
  const raw = new Uint8Array(length);
  const view = new DataView(raw.buffer);
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

/** Numbers of whole bytes each as raw_data has them; a view of the bytes where they are aligned. */
export function viewOf(dataType: number, raw: Uint8Array): NumericArray {
  const numbers = ARRAYS[dataType]!;
  const width = numbers.BYTES_PER_ELEMENT;
  const aligned = raw.byteOffset % width === 0 ? raw : raw.slice();
  return new numbers(aligned.buffer, aligned.byteOffset, raw.length / width);
}

/** Typed arrays are little endian on every engine that Hone runs on, as raw_data is. */
function fromRaw({ dataType, dims }: Tensor, raw: Uint8Array): NumericArray {
  const bits = bitsPerElement(dataType)!;
  if (bits < 8) {
    const unpacked = unpackedBits(raw, bits, elementCount(dims), SIGNED_PACKED.has(dataType));
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

function missingFile(tensor: Tensor): ModelError {
  const location = tensor.data.kind === "external" ? tensor.data.location : "";
  return new ModelError(
    "external_data_missing",
    `tensor "${tensor.name}" has its data in the file "${location}", which did not come with the model; upload both together`,
  );
}
