import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { UploadResource } from "../../schemas/resources.ts";
import { type Account, jsonOf } from "./harness.ts";

/** Begins an upload in parts. */
export async function begin(account: Account, request: object): Promise<UploadResource> {
  return jsonOf(await account.post("/v1/uploads", request));
}

/** Sends one part. */
export function sendPart(
  account: Account,
  { id }: UploadResource,
  number: number | string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Response> {
  return account.fetch(`/v1/uploads/${id}/parts/${number}`, { method: "PUT", body, headers });
}

/** Sends the parts of a single file with these numbers, each with its length, as HTTP clients do. */
export async function send(
  account: Account,
  upload: UploadResource,
  file: Uint8Array,
  order: readonly number[],
): Promise<void> {
  for (const number of order) {
    const part = file.subarray((number - 1) * upload.part_bytes, number * upload.part_bytes);
    const headers = { "content-length": String(part.byteLength) };
    const response = await sendPart(account, upload, number, part, headers);
    expect([number, response.status]).toEqual([number, 204]);
  }
}

/** Sends a single file whole. */
export function sendAll(account: Account, upload: UploadResource, file: Uint8Array) {
  const order = Array.from({ length: upload.parts }, (_, i) => i + 1);
  return send(account, upload, file, order);
}

/** Makes a model of the parts. */
export function complete(account: Account, { id }: UploadResource): Promise<Response> {
  return account.fetch(`/v1/uploads/${id}/complete`, { method: "POST" });
}

export function sha256Of(file: Uint8Array): string {
  return createHash("sha256").update(file).digest("hex");
}
