import { createHash } from "node:crypto";
import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ModelResource, UploadRequest, UploadResource } from "../../schemas/resources.ts";
import { timestamp } from "../jobs/resource.ts";
import { newId } from "../store/ids.ts";
import { incomingKey, layersKey } from "../store/object-keys.ts";
import { chunksOf, partSize } from "../store/objects.ts";
import type { UploadPartRow, UploadRow } from "../store/uploads.ts";
import { checkLength, jsonBody, limitedBytes } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { requireModel } from "./models.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, jsonRequest, problems } from "./responses.ts";
import { modelResource, storeModel } from "./store-model.ts";
import { newRouter } from "./validation.ts";

const LIFETIME_MS = 24 * 3_600_000;

const params = z.object({ id: z.string().regex(/^upl_[0-9a-z]{24}$/) });
const partParams = params.extend({ number: z.coerce.number().int().min(1).max(10_000) });
const binary = z.string().openapi({ format: "binary" });
const tags = ["Uploads"];

export const uploads = newRouter();

uploads.openapi(
  createRoute({
    method: "post",
    path: "/uploads",
    tags,
    security: bearer,
    summary: "Begin to upload a large model in parts",
    description: "Kept for 24 hours. Every part has the size that the answer says, but the last.",
    middleware: [jsonBody] as const,
    request: { body: jsonRequest(UploadRequest) },
    responses: { 201: json("The upload", UploadResource), ...problems },
  }),
  async (c) => {
    const { store, account } = c.var;
    const { bytes, name = null, sha256 = null } = c.req.valid("json");
    const now = Date.now();
    const id = newId("upl", now);
    const objectKey = incomingKey(account, id);
    const row: UploadRow = {
      id,
      accountId: account,
      name,
      bytes,
      partBytes: partSize(bytes),
      sha256,
      objectKey,
      multipartId: await store.objects.createMultipart(objectKey),
      modelId: null,
      createdAt: now,
      expiresAt: now + LIFETIME_MS,
    };
    await store.uploads.insert(row);
    return c.json(uploadResource(row, []), 201, { Location: `/v1/uploads/${id}` });
  },
);

uploads.openapi(
  createRoute({
    method: "get",
    path: "/uploads/{id}",
    tags,
    security: bearer,
    summary: "See which parts have arrived",
    request: { params },
    responses: { 200: json("The upload", UploadResource), ...problems },
  }),
  async (c) => {
    const row = await requireUpload(c, c.req.valid("param").id);
    return c.json(uploadResource(row, await c.var.store.uploads.parts(row.id)), 200);
  },
);

uploads.openapi(
  createRoute({
    method: "put",
    path: "/uploads/{id}/parts/{number}",
    tags,
    security: bearer,
    summary: "Send a part",
    description: "In any order; a part sent again replaces the first.",
    request: {
      params: partParams,
      body: { required: true, content: { "application/octet-stream": { schema: binary } } },
    },
    responses: { 204: { description: "Stored" }, ...problems },
  }),
  async (c) => {
    const { store } = c.var;
    const { id, number } = c.req.valid("param");
    const row = await requireUpload(c, id);
    if (row.modelId !== null) throw new ProblemError("conflict", "The upload has been completed.");
    const expected = partLength(row, number);
    checkLength(c, expected);
    const bytes = await limitedBytes(c.req.raw.body, expected);
    if (bytes.byteLength !== expected) {
      const detail = `Part ${number} has ${expected} bytes; ${bytes.byteLength} arrived.`;
      throw new ProblemError("checksum_mismatch", detail);
    }
    const etag = await store.objects.putPart(row.objectKey, row.multipartId, number, bytes);
    await store.uploads.putPart({ uploadId: id, number, etag, bytes: expected });
    return c.body(null, 204);
  },
);

uploads.openapi(
  createRoute({
    method: "post",
    path: "/uploads/{id}/complete",
    tags,
    security: bearer,
    summary: "Make a model of the parts",
    description: "Completing a completed upload answers with the same model.",
    request: { params },
    responses: { 201: json("The model", ModelResource), ...problems },
  }),
  async (c) => {
    const row = await requireUpload(c, c.req.valid("param").id);
    const model = row.modelId === null ? await complete(c, row) : await existing(c, row.modelId);
    return c.json(model, 201, { Location: `/v1/models/${model.id}` });
  },
);

uploads.openapi(
  createRoute({
    method: "delete",
    path: "/uploads/{id}",
    tags,
    security: bearer,
    summary: "Give an upload up",
    request: { params },
    responses: { 204: { description: "Deleted, with its parts" }, ...problems },
  }),
  async (c) => {
    await discard(c, await requireUpload(c, c.req.valid("param").id));
    return c.body(null, 204);
  },
);

async function complete(c: Context<AppEnv>, row: UploadRow): Promise<ModelResource> {
  const { store, account } = c.var;
  const parts = await store.uploads.parts(row.id);
  const count = partCount(row);
  if (parts.length < count) {
    throw new ProblemError("conflict", `${count - parts.length} of ${count} parts have not arrived yet.`);
  }
  // A completion that broke off has left the object behind, and its parts are gone.
  if (!(await store.objects.exists(row.objectKey))) {
    await store.objects.completeMultipart(row.objectKey, row.multipartId, parts);
  }
  try {
    const source = await store.objects.open(row.objectKey);
    if (row.sha256 !== null) {
      const hash = createHash("sha256");
      for await (const chunk of chunksOf(source)) hash.update(chunk);
      const actual = hash.digest("hex");
      if (actual !== row.sha256) {
        throw new ProblemError(
          "checksum_mismatch",
          `The SHA-256 of the parts is ${actual}, not ${row.sha256}.`,
        );
      }
    }
    const model = await storeModel(store, account, source, row.name, Date.now());
    await store.uploads.completed(row.id, model.id);
    await store.objects.delete(row.objectKey);
    return model;
  } catch (error) {
    // The same bytes would be refused again.
    await discard(c, row);
    throw error;
  }
}

async function existing(c: Context<AppEnv>, id: string): Promise<ModelResource> {
  const row = await requireModel(c, id);
  return modelResource(row, JSON.parse(await c.var.store.objects.text(layersKey(row.accountId, id))));
}

async function discard(c: Context<AppEnv>, row: UploadRow): Promise<void> {
  await c.var.store.objects.abortMultipart(row.objectKey, row.multipartId);
  await c.var.store.objects.delete(row.objectKey);
  await c.var.store.uploads.delete(row.id);
}

function partCount(row: UploadRow): number {
  return Math.ceil(row.bytes / row.partBytes);
}

function partLength(row: UploadRow, number: number): number {
  const count = partCount(row);
  if (number > count) throw notFound("part", `${number} of ${count}`);
  return number < count ? row.partBytes : row.bytes - (count - 1) * row.partBytes;
}

async function requireUpload(c: Context<AppEnv>, id: string): Promise<UploadRow> {
  const row = await c.var.store.uploads.get(c.var.account, id);
  if (!row) throw notFound("upload", id);
  return row;
}

function uploadResource(row: UploadRow, parts: readonly UploadPartRow[]): UploadResource {
  return {
    id: row.id,
    object: "upload",
    name: row.name,
    bytes: row.bytes,
    part_bytes: row.partBytes,
    parts: partCount(row),
    received: parts.map(({ number }) => number),
    model: row.modelId,
    created_at: timestamp(row.createdAt),
    expires_at: timestamp(row.expiresAt),
  };
}
