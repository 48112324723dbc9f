import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ModelResource, UploadRequest, UploadResource } from "../../schemas/resources.ts";
import { failureOf } from "../jobs/failures.ts";
import { timestamp } from "../jobs/resource.ts";
import { newId } from "../store/ids.ts";
import { fileKey, layersKey, partKey } from "../store/object-keys.ts";
import { partSize } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import type { UploadFile } from "../store/tables.ts";
import type { UploadPartRow, UploadRow } from "../store/uploads.ts";
import { checkLength, jsonBody, limitedBytes } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { requireModel } from "./models.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, jsonRequest, problems } from "./responses.ts";
import { type Arrived, type ArrivedModel, modelResource, storeModel } from "./store-model.ts";
import { newRouter } from "./validation.ts";

/** Streamed, never in memory; what a request leaves to the collector does not grow with its body. */
const PART_BYTES = 32 * 2 ** 20;

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
    const request = c.req.valid("json");
    const { name = null } = request;
    const asked = "files" in request ? request.files : [{ ...request, path: null }];
    checkPaths(asked.map(({ path }) => path));
    const now = Date.now();
    const id = newId("upl", now);
    const bytes = asked.reduce((sum, file) => sum + file.bytes, 0);
    const partBytes = partSize(bytes, PART_BYTES);
    const files: UploadFile[] = [];
    let next = 1;
    for (const [place, { path, bytes: size, sha256 = null }] of asked.entries()) {
      const objectKey = fileKey(account, `${id}-${place}`);
      const parts = Math.ceil(size / partBytes);
      files.push({ path, bytes: size, sha256, objectKey, firstPart: next, parts });
      next += parts;
    }
    const row: UploadRow = {
      id,
      accountId: account,
      name,
      bytes,
      partBytes,
      files,
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
    const { file, length: expected, own } = partOf(row, number);
    await storePart(c, partKey(file.objectKey, own), expected);
    await store.uploads.arrived({ uploadId: id, number });
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
    await c.var.store.deleteUpload(await requireUpload(c, c.req.valid("param").id));
    return c.body(null, 204);
  },
);

/**
 * Stores the body as a part: as it comes where its length is announced, else by way of memory.
 * @throws ProblemError where it has another length
 */
async function storePart(c: Context<AppEnv>, key: string, expected: number): Promise<void> {
  const { objects } = c.var.store;
  checkLength(c, expected);
  const announced = c.req.header("content-length");
  const { body } = c.req.raw;
  if (announced !== undefined && body) {
    checkPart(Number(announced), expected);
    return objects.putStream(key, body, expected);
  }
  const bytes = await limitedBytes(body, expected);
  checkPart(bytes.byteLength, expected);
  return objects.putBytes(key, bytes);
}

function checkPart(bytes: number, expected: number): void {
  if (bytes === expected) return;
  throw new ProblemError("checksum_mismatch", `The part has ${expected} bytes; ${bytes} arrived.`);
}

async function complete(c: Context<AppEnv>, row: UploadRow): Promise<ModelResource> {
  const { store, account } = c.var;
  const parts = await store.uploads.parts(row.id);
  const count = partCount(row);
  if (parts.length < count) {
    throw new ProblemError("conflict", `${count - parts.length} of ${count} parts have not arrived yet.`);
  }
  for (const { objectKey, bytes } of row.files) {
    await store.objects.joinParts(objectKey, { bytes, partBytes: row.partBytes });
  }
  try {
    return await storeModel(store, account, await arrivedFiles(store, row), row.name, Date.now());
  } catch (error) {
    // The same bytes would be refused again; what was ours may be tried again.
    if (error instanceof ProblemError || failureOf(error)) await store.deleteUpload(row);
    throw error;
  }
}

/** The upload's files as they arrived: those of a model with its external data, or one that may be an archive of them. */
async function arrivedFiles(store: Store, row: UploadRow): Promise<ArrivedModel> {
  const files = await Promise.all(
    row.files.map(async (file): Promise<Arrived & { readonly path: string | null }> => {
      const source = await store.objects.open(file.objectKey);
      return { path: file.path, source, objectKey: file.objectKey, sha256: file.sha256 };
    }),
  );
  const [only] = files;
  if (only && only.path === null) return { kind: "file", file: only, upload: row.id };
  const paths = new Map(files.map((file) => [file.path!, file]));
  return { kind: "folder", files: paths, upload: row.id };
}

async function existing(c: Context<AppEnv>, id: string): Promise<ModelResource> {
  const row = await requireModel(c, id);
  return modelResource(row, JSON.parse(await c.var.store.objects.text(layersKey(row.accountId, id))));
}

function partCount({ files }: UploadRow): number {
  return files.reduce((sum, { parts }) => sum + parts, 0);
}

/** The file that a part belongs to, its number among the parts of that file, and its length. */
function partOf(row: UploadRow, number: number): { file: UploadFile; own: number; length: number } {
  const file = row.files.find(({ firstPart, parts }) => number >= firstPart && number < firstPart + parts);
  if (!file) throw notFound("part", `${number} of ${partCount(row)}`);
  const own = number - file.firstPart + 1;
  const length = own < file.parts ? row.partBytes : file.bytes - (file.parts - 1) * row.partBytes;
  return { file, own, length };
}

function checkPaths(paths: readonly (string | null)[]): void {
  if (new Set(paths).size < paths.length) {
    throw new ProblemError("invalid_request", "Two files of the upload have the same path.");
  }
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
    ...(row.files[0]?.path !== null && {
      files: row.files.map(({ path, bytes, firstPart, parts: count }) => ({
        path: path!,
        bytes,
        first_part: firstPart,
        parts: count,
      })),
    }),
    received: parts.map(({ number }) => number),
    model: row.modelId,
    created_at: timestamp(row.createdAt),
    expires_at: timestamp(row.expiresAt),
  };
}
