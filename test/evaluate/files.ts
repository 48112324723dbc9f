import { zipSync } from "fflate";
import { expect } from "vitest";
import { SamplesError } from "../../src/evaluate/samples-error.ts";

type Numeric = Exclude<ArrayBufferView, DataView>;

/** An .npy file, version 1, its header written as NumPy writes it. */
export function npy(descr: string, shape: readonly number[], data: Numeric, order = "False"): Uint8Array {
  const dims = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  return npyWith(`{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${dims}, }`, bytesOf(data));
}

/** An .npy file with a header of one's own. */
export function npyWith(header: string, body: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(`${header}\n`);
  const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, text.length & 255, text.length >> 8];
  return new Uint8Array([...start, ...text, ...body]);
}

export function npz(arrays: Readonly<Record<string, Uint8Array>>, level: 0 | 6 = 0): Uint8Array {
  return zipSync(Object.fromEntries(Object.entries(arrays).map(([name, file]) => [`${name}.npy`, file])), {
    level,
  });
}

/** A safetensors file whose header is `header` as JSON. */
export function safetensors(header: unknown, body: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return new Uint8Array([...length, ...text, ...body]);
}

export function bytesOf(data: Numeric): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** For fuzzing: a reader may refuse with its own error, and nothing else may escape. */
export function expectReadOrRefused(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(SamplesError);
  }
}
