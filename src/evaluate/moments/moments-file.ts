import type { InputMoments } from "../../compress/input-moments.ts";
import type { ByteSource } from "../../onnx/source.ts";
import type { LayerMoments } from "./collect.ts";

/**
 * A layer's moments as bytes for a durable blob: a little-endian 32-bit length, that much JSON, then for each matrix
 * that was seen its diagonal, its mean and the upper triangle of G, row by row, as float32.
 */
interface Header {
  readonly layer: string;
  readonly reason: string | null;
  readonly matrices: readonly (MatrixHeader | null)[] | null;
}

interface MatrixHeader {
  readonly n: number;
  readonly count: number;
  readonly gram: boolean;
}

const LENGTH_BYTES = 4;
const FLOAT_BYTES = 4;

export function encodeMoments(moments: LayerMoments): Uint8Array {
  const { layer, reason } = moments;
  const matrices = moments.matrices ?? [];
  const header: Header = {
    layer,
    reason,
    matrices: moments.matrices?.map((one) => one && headerOf(one)) ?? null,
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const elements = matrices.reduce((sum, one) => sum + (one ? elementsOf(headerOf(one)) : 0), 0);
  const bytes = new Uint8Array(LENGTH_BYTES + json.length + elements * FLOAT_BYTES);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + json.length;
  const put = (floats: Float32Array) => {
    bytes.set(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), at);
    at += floats.byteLength;
  };
  for (const one of matrices) {
    if (one === null) continue;
    put(one.diagonal);
    put(one.mean);
    for (let row = 0; one.gram !== null && row < one.n; row++) {
      put(one.gram.subarray(row * one.n + row, (row + 1) * one.n));
    }
  }
  return bytes;
}

/** Reads {@link encodeMoments}'s bytes, a matrix at a time. */
export async function decodeMoments(source: ByteSource): Promise<LayerMoments> {
  const prefix = await source.read(0, LENGTH_BYTES);
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getUint32(0, true);
  const json = await source.read(LENGTH_BYTES, length);
  const { layer, reason, matrices } = JSON.parse(new TextDecoder().decode(json)) as Header;
  if (matrices === null) return { layer, matrices, reason: reason ?? "" };
  let at = LENGTH_BYTES + length;
  const decoded: (InputMoments | null)[] = [];
  for (const one of matrices) {
    if (one === null) {
      decoded.push(null);
      continue;
    }
    const size = elementsOf(one) * FLOAT_BYTES;
    // A copy, because a range of a source need not be aligned.
    const bytes = (await source.read(at, size)).slice();
    decoded.push(fromFloats(one, new Float32Array(bytes.buffer)));
    at += size;
  }
  return { layer, matrices: decoded, reason: null };
}

function headerOf({ n, count, gram }: InputMoments): MatrixHeader {
  return { n, count, gram: gram !== null };
}

function elementsOf({ n, gram }: MatrixHeader): number {
  return 2 * n + (gram ? (n * (n + 1)) / 2 : 0);
}

function fromFloats({ n, count, gram }: MatrixHeader, floats: Float32Array): InputMoments {
  const diagonal = floats.slice(0, n);
  const mean = floats.slice(n, 2 * n);
  return { n, count, gram: gram ? symmetric(floats.subarray(2 * n), n) : null, diagonal, mean };
}

function symmetric(triangle: Float32Array, n: number): Float32Array {
  const full = new Float32Array(n * n);
  let at = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      const value = triangle[at++]!;
      full[i * n + j] = value;
      full[j * n + i] = value;
    }
  }
  return full;
}
