import { bitsPerElement, DataType } from "./data-type.ts";
import type { Tensor } from "./model.ts";
import { type Bytes, byteLength, loadInto, slice } from "./source.ts";
import { viewOf } from "./tensor.ts";
import { elementCount, type TensorValue } from "./tensor-value.ts";

/** A tensor whose elements stand in a file one after the other, each of the same number of whole bytes. */
export interface Ranged {
  readonly tensor: Tensor;
  readonly payload: Bytes;
  /** Bytes of an element. */
  readonly width: number;
}

/** null where elements cannot be told apart without reading all of them. */
export function ranged(tensor: Tensor): Ranged | null {
  const { data, dataType, dims } = tensor;
  const isFloat = dataType === DataType.FLOAT || dataType === DataType.DOUBLE;
  if (data.kind === "strings" || (data.kind === "typed" && !isFloat)) return null;
  const payload = data.kind === "external" ? data.span : data.bytes;
  const width = (bitsPerElement(dataType) ?? 0) / 8;
  if (payload === null || width < 1 || byteLength(payload) !== elementCount(dims) * width) return null;
  return { tensor, payload, width };
}

/** The elements from `first` on, as many as `dims` has, as a tensor of those dims, whose numbers nobody else has. */
export async function readRange(
  { tensor, payload, width }: Ranged,
  first: number,
  dims: readonly number[],
): Promise<TensorValue> {
  const bytes = new Uint8Array(elementCount(dims) * width);
  await loadInto(slice(payload, first * width, first * width + bytes.length), bytes);
  return fromBytes(tensor, dims, bytes);
}

/** Bytes of such elements as a tensor of those dims; not always a copy. */
export function fromBytes({ dataType }: Tensor, dims: readonly number[], bytes: Uint8Array): TensorValue {
  return { dataType, dims, data: viewOf(dataType, bytes) };
}

/** The whole tensor in pieces of at most so many elements, in order. */
export async function* piecesOf(of: Ranged, elements: number): AsyncGenerator<TensorValue> {
  const total = elementCount(of.tensor.dims);
  for (let at = 0; at < total; at += elements) yield readRange(of, at, [Math.min(elements, total - at)]);
}
