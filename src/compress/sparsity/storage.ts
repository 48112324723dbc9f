import type { FloatArray } from "../../kernels/reference/matmul.ts";

/**
 * What a sparse initializer needs over a dense one, besides values and indices: a second tensor with its dims
 * and type, and the dims of the whole. Rounded up.
 */
const SPARSE_OVERHEAD = 48;

/** Bytes of an index as a protobuf varint. */
function varintBytes(index: number): number {
  return index < 2 ** 7 ? 1 : index < 2 ** 14 ? 2 : index < 2 ** 21 ? 3 : index < 2 ** 28 ? 4 : 5;
}

/** Bytes of a tensor stored sparse, with linear indices as varints; exact but for the fixed overhead. */
export function sparseBytes(values: FloatArray, item: number): number {
  let bytes = SPARSE_OVERHEAD;
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) bytes += item + varintBytes(i);
  return bytes;
}
