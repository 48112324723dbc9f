import type { ModelResource, UploadResource } from "../../schemas/resources.ts";
import type { RequestOptions, Transport } from "./transport.ts";

/** Parts on their way at once. */
const AT_ONCE = 3;
const PART_TIMEOUT_MS = 600_000;

/**
 * Sends a large model in parts, each of which is tried again on its own, and makes a model of them. Gives the
 * upload up when a part does not arrive.
 */
export async function uploadInParts(
  transport: Transport,
  file: Blob | Uint8Array<ArrayBuffer>,
  { name, signal }: RequestOptions & { readonly name?: string },
): Promise<ModelResource> {
  const bytes = file instanceof Blob ? file.size : file.byteLength;
  const { id, part_bytes, parts } = await transport.json<UploadResource>({
    method: "POST",
    path: "/v1/uploads",
    json: { bytes, name },
    signal,
  });
  const path = `/v1/uploads/${encodeURIComponent(id)}`;
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const waiting = Array.from({ length: parts }, (_, index) => index + 1);
  const sendNext = async () => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      const from = (number - 1) * part_bytes;
      const to = Math.min(from + part_bytes, bytes);
      await transport.request({
        method: "PUT",
        path: `${path}/parts/${number}`,
        headers: { "content-type": "application/octet-stream" },
        body: file instanceof Blob ? file.slice(from, to) : file.subarray(from, to),
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
