import { chunksOf } from "../onnx/source.ts";
import type { Blobs } from "./job.ts";

/** Writes bytes at hand as a blob. */
export async function putBytes(blobs: Blobs, key: string, bytes: Uint8Array): Promise<void> {
  await blobs.put(key, once(bytes), bytes.byteLength);
}

/** Writes a blob once more, under another key. */
export async function copyBlob(blobs: Blobs, from: string, to: string): Promise<void> {
  const source = await blobs.open(from);
  await blobs.put(to, chunksOf(source), source.size);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
