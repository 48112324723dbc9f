import type { ModelResource, UploadResource } from "../../schemas/resources.ts";
import type { RequestOptions, Transport } from "./transport.ts";

/** Parts on their way at once. */
const AT_ONCE = 3;
const PART_TIMEOUT_MS = 600_000;

/** A file of a model with external data. */
export interface UploadFile {
  /** Relative to the folder of the model, as the model names it. */
  readonly path: string;
  readonly content: Blob | Uint8Array<ArrayBuffer>;
}

/**
 * Sends a large model, or the files of one, in parts, each of which is tried again on its own, and makes a model of them. Gives the
 * upload up when a part does not arrive.
 */
export async function uploadInParts(
  transport: Transport,
  model: Blob | Uint8Array<ArrayBuffer> | readonly UploadFile[],
  { name, signal }: RequestOptions & { readonly name?: string },
): Promise<ModelResource> {
  const isOne = model instanceof Blob || model instanceof Uint8Array;
  const files = isOne ? [{ path: "", content: model }] : model;
  const upload = await transport.json<UploadResource>({
    method: "POST",
    path: "/v1/uploads",
    json: isOne
      ? { bytes: sizeOf(model), name }
      : { files: files.map(({ path, content }) => ({ path, bytes: sizeOf(content) })), name },
    signal,
  });
  const path = `/v1/uploads/${encodeURIComponent(upload.id)}`;
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const waiting = partsOf(files, upload.part_bytes);
  const sendNext = async () => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      await transport.request({
        method: "PUT",
        path: `${path}/parts/${part.number}`,
        headers: { "content-type": "application/octet-stream" },
        body: part.body,
        timeout: PART_TIMEOUT_MS,
        signal: stop,
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, sendNext));
  } catch (error) {
    failed.abort(error);
    // The server forgets it after a day anyway; the first error is the one to tell.
    await transport.request({ method: "DELETE", path }).catch(() => {});
    throw error;
  }
  return transport.json({ method: "POST", path: `${path}/complete`, timeout: PART_TIMEOUT_MS, signal });
}

/** Parts of all files, numbered from 1; each file begins one. */
function partsOf(files: readonly UploadFile[], bytes: number) {
  const parts: { readonly number: number; readonly body: Blob | Uint8Array<ArrayBuffer> }[] = [];
  for (const { content } of files) {
    for (let from = 0; from < sizeOf(content); from += bytes) {
      const body =
        content instanceof Blob
          ? content.slice(from, from + bytes)
          : content.subarray(from, Math.min(from + bytes, content.byteLength));
      parts.push({ number: parts.length + 1, body });
    }
  }
  return parts;
}

function sizeOf(content: Blob | Uint8Array): number {
  return content instanceof Blob ? content.size : content.byteLength;
}
