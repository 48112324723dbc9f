import { bitsPerElement, DataType } from "../../onnx/data-type.ts";
import { TensorField } from "../../onnx/fields.ts";
import type { Tensor } from "../../onnx/model.ts";
import type { ByteSource, Span } from "../../onnx/source.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../onnx/tensor-value.ts";

/** Results up to this size are kept, larger ones are computed again when they are read. */
const KEPT_BYTES = 64 * 1024;

/**
 * A tensor of a value that was computed. Large ones are not kept in memory but computed again when they are
 * written, so that a model's folded weights never lie in memory together.
 */
export function computedTensor(
  name: string,
  value: TensorValue,
  compute: () => Promise<TensorValue>,
): Tensor {
  const length = ((bitsPerElement(value.dataType) ?? 0) * elementCount(value.dims)) / 8;
  if (length <= KEPT_BYTES || !Number.isInteger(length)) return compactTensor(name, value);
  const source = onDemand(length, async () => {
    const { data } = tensorOf(name, await compute());
    if (data.kind !== "raw" || !(data.bytes instanceof Uint8Array)) throw new TypeError("raw bytes expected");
    return data.bytes;
  });
  return rawTensor(name, value.dataType, value.dims, { source, offset: 0, length });
}

function rawTensor(name: string, dataType: number, dims: readonly number[], bytes: Span): Tensor {
  return { name, dataType, dims, data: { kind: "raw", bytes } };
}

/** A source whose bytes are computed at the first read and let go at the read that reaches the end. */
function onDemand(size: number, compute: () => Promise<Uint8Array>): ByteSource {
  let current: Promise<Uint8Array> | null = null;
  return {
    size,
    async read(offset, length) {
      checkRange(size, offset, length);
      current ??= compute();
      const bytes = await current;
      if (offset + length === size) current = null;
      return bytes.subarray(offset, offset + length);
    },
  };
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
