import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ByteSource } from "../onnx/source.ts";

const CHUNK = 1 << 20;

/** The source's bytes in order, at most 1 MiB at a time. */
export async function* chunksOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < source.size; offset += CHUNK) {
    yield await source.read(offset, Math.min(CHUNK, source.size - offset));
  }
}

/** SHA-256 of a source, in hex; reads it once, 1 MiB at a time. */
export async function digestOf(source: ByteSource): Promise<string> {
  const hash = sha256.create();
  for await (const chunk of chunksOf(source)) hash.update(chunk);
  return bytesToHex(hash.digest());
}
