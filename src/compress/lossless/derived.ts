import { bitsPerElement, DataType } from "../../onnx/data-type.ts";
import { TensorField } from "../../onnx/fields.ts";
import type { Tensor } from "../../onnx/model.ts";
import type { ByteSource, Span } from "../../onnx/source.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../onnx/tensor-value.ts";

const SMALL_BYTES = 4 * 1024;
const LARGE_BYTES = 256 * 1024;
const LARGE_BYTES_IN_ALL = 4 * 1024 * 1024;

/**
 * A tensor of a value that was computed. Where `keep` refuses, its bytes are not kept in memory but computed again
 * when they are read, so that a large model's folded weights never lie in memory together.
 */
export function computedTensor(
  name: string,
  value: TensorValue,
  keep: (bytes: number) => boolean,
  compute: () => Promise<TensorValue>,
): Tensor {
  const length = ((bitsPerElement(value.dataType) ?? 0) * elementCount(value.dims)) / 8;
  if (!Number.isInteger(length) || keep(length)) return compactTensor(name, value);
  return rawTensor(name, value.dataType, value.dims, {
    source: new ComputedSource(length, compute),
    offset: 0,
    length,
  });
}

/** Says which of the computed values stay in memory: all small ones, and larger ones up to a sum. */
export function memoryBudget(): (bytes: number) => boolean {
  let left = LARGE_BYTES_IN_ALL;
  return (bytes) => {
    if (bytes <= SMALL_BYTES) return true;
    if (bytes > LARGE_BYTES || bytes > left) return false;
    left -= bytes;
    return true;
  };
}

/** The value of a tensor of {@link computedTensor} without the way over its bytes; null for other tensors. */
export async function computedValue({ data, dims }: Tensor): Promise<TensorValue | null> {
  if (data.kind !== "raw" || data.bytes instanceof Uint8Array) return null;
  const { source } = data.bytes;
  return source instanceof ComputedSource ? { ...(await source.compute()), dims } : null;
}

/** Bytes that are computed at the first read and let go at the read that reaches the end. */
class ComputedSource implements ByteSource {
  readonly size: number;
  readonly compute: () => Promise<TensorValue>;
  #current: Promise<Uint8Array> | null = null;

  constructor(size: number, compute: () => Promise<TensorValue>) {
    this.size = size;
    this.compute = compute;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.size, offset, length);
    this.#current ??= this.compute().then(rawBytes);
    const bytes = await this.#current;
    if (offset + length === this.size) this.#current = null;
    return bytes.subarray(offset, offset + length);
  }
}

function rawBytes(value: TensorValue): Uint8Array {
  const { data, dataType } = value;
  if (ArrayBuffer.isView(data) && (bitsPerElement(dataType) ?? 0) >= 8) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const tensor = tensorOf("", value);
  if (tensor.data.kind !== "raw" || !(tensor.data.bytes instanceof Uint8Array)) {
    throw new TypeError("a computed value has no raw bytes");
  }
  return tensor.data.bytes;
}

function rawTensor(name: string, dataType: number, dims: readonly number[], bytes: Span): Tensor {
  return { name, dataType, dims, data: { kind: "raw", bytes } };
}

function checkRange(size: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`bytes ${offset}..${offset + length} lie outside a tensor of ${size}`);
  }
}

/** The little-endian float32 bytes of a tensor, when it is one and has them as they are. */
export function floatSpan(tensor: Tensor): Span | null {
  if (tensor.dataType !== DataType.FLOAT) return null;
  const { data } = tensor;
  if (data.kind === "external") return data.span;
  if (data.kind === "raw" || (data.kind === "typed" && data.field === TensorField.floatData)) {
    const { bytes } = data;
    if (!(bytes instanceof Uint8Array)) return bytes;
    return {
      source: { size: bytes.length, read: async (o, n) => bytes.subarray(o, o + n) },
      offset: 0,
      length: bytes.length,
    };
  }
  return null;
}

/**
 * A float tensor with entry i multiplied by factor(i), range by range as it is read: no more of it is ever in memory
 * than the reader asks for. Null when the tensor is not float32.
 */
export function scaledTensor(tensor: Tensor, name: string, factor: (index: number) => number): Tensor | null {
  const span = floatSpan(tensor);
  if (!span || span.length !== 4 * elementCount(tensor.dims)) return null;
  const source: ByteSource = {
    size: span.length,
    async read(offset, length) {
      checkRange(span.length, offset, length);
      const first = Math.floor(offset / 4);
      const last = Math.ceil((offset + length) / 4);
      const bytes = await span.source.read(span.offset + first * 4, (last - first) * 4);
      const scaled = new Float32Array(bytes.slice().buffer);
      for (let i = 0; i < scaled.length; i++) scaled[i] = scaled[i]! * factor(first + i);
      return new Uint8Array(scaled.buffer, offset - first * 4, length);
    },
  };
  return rawTensor(name, tensor.dataType, tensor.dims, { source, offset: 0, length: span.length });
}

/** The shortest encoding: small 64- and 32-bit integers take fewer bytes as varints than fixed width. */
export function compactTensor(name: string, value: TensorValue): Tensor {
  const raw = tensorOf(name, value);
  const field =
    value.dataType === DataType.INT64
      ? TensorField.int64Data
      : value.dataType === DataType.INT32
        ? TensorField.int32Data
        : null;
  if (field === null || value.data.length === 0) return raw;
  const varints: number[] = [];
  const limit = value.data.length * (field === TensorField.int64Data ? 8 : 4);
  for (const entry of value.data as Iterable<number | bigint>) {
    let rest = BigInt.asUintN(64, BigInt(entry));
    while (rest >= 0x80n) {
      varints.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    varints.push(Number(rest));
    if (varints.length >= limit) return raw;
  }
  return { ...raw, data: { kind: "typed", field, bytes: Uint8Array.from(varints) } };
}
