import { bytesSource } from "../onnx/source.ts";
import type { Blobs } from "./job.ts";

/** Writes bytes at hand as a blob. */
export async function putBytes(blobs: Blobs, key: string, bytes: Uint8Array): Promise<void> {
  await blobs.put(key, bytesSource(bytes));
}

/** Writes a blob once more, under another key. */
export async function copyBlob(blobs: Blobs, from: string, to: string): Promise<void> {
  await blobs.put(to, await blobs.open(from));
}
