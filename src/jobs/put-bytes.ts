import type { Blobs } from "./job.ts";

/** Writes bytes at hand as a blob. */
export async function putBytes(blobs: Blobs, key: string, bytes: Uint8Array): Promise<void> {
  await blobs.put(key, once(bytes), bytes.byteLength);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
