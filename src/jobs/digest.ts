import { createHash } from "node:crypto";
import { type ByteSource, chunksOf } from "../onnx/source.ts";

/**
 * SHA-256 of a source, in hex; reads it once. For hosts: the steps of a job run in browsers too, which have no node:crypto, and learn
 * digests from the job and from its blobs.
 */
export async function digestOf(source: ByteSource): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of chunksOf(source)) hash.update(chunk);
  return hash.digest("hex");
}
