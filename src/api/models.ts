import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ModelListItem, ModelResource, Page } from "../../schemas/resources.ts";
import type { ModelRow } from "../store/models.ts";
import { layersKey } from "../store/object-keys.ts";
import { requireMediaType, withIncoming } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { PageQuery, page } from "./paging.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, problems } from "./responses.ts";
import { arrivedFile, modelListItem, modelResource, storeModel } from "./store-model.ts";
import { newRouter } from "./validation.ts";

/** What a model may be sent as; which it is, the bytes say. */
export const MODEL_TYPES = [
  "application/octet-stream",
  "application/onnx",
  "application/x-onnx",
  "application/zip",
  "application/x-zip-compressed",
  "application/x-tar",
] as const;

const binary = z.string().openapi({ format: "binary" });
const params = z.object({ id: z.string().regex(/^mdl_[0-9a-z]{24}$/) });
const tags = ["Models"];

export const UploadQuery = z.strictObject({ name: z.string().min(1).max(256).optional() });

export const models = newRouter();

models.openapi(
  createRoute({
    method: "post",
    path: "/models",
    tags,
    security: bearer,
    summary: "Upload a model",
    description: "An ONNX file, or a .zip or .tar of one ONNX file and its external data.",
    request: {
      query: UploadQuery,
      body: {
        required: true,
        content: Object.fromEntries(MODEL_TYPES.map((type) => [type, { schema: binary }])),
      },
    },
    responses: { 201: json("The model", ModelResource), ...problems },
  }),
  async (c) => {
    requireMediaType(c, MODEL_TYPES);
    const { store, account } = c.var;
    const { name } = c.req.valid("query");
    const model = await withIncoming(c, c.req.raw.body, async ({ key }) =>
      storeModel(store, account, await arrivedFile(store, key), name ?? null, Date.now()),
    );
    return c.json(model, 201, { Location: `/v1/models/${model.id}` });
  },
);

models.openapi(
  createRoute({
    method: "get",
    path: "/models",
    tags,
    security: bearer,
    summary: "List models, newest first",
    description: "Without their layers, which only the model itself shows.",
    request: { query: PageQuery },
    responses: { 200: json("A page of models", Page(ModelListItem)), ...problems },
  }),
  async (c) => {
    const { limit, after } = c.req.valid("query");
    const rows = await c.var.store.models.list(c.var.account, limit + 1, after);
    return c.json(page(rows, limit, modelListItem), 200);
  },
);

models.openapi(
  createRoute({
    method: "get",
    path: "/models/{id}",
    tags,
    security: bearer,
    summary: "Look at a model",
    request: { params },
    responses: { 200: json("The model", ModelResource), ...problems },
  }),
  async (c) => {
    const row = await requireModel(c, c.req.valid("param").id);
    const layers = await c.var.store.objects.text(layersKey(row.accountId, row.id));
    return c.json(modelResource(row, JSON.parse(layers)), 200);
  },
);

models.openapi(
  createRoute({
    method: "delete",
    path: "/models/{id}",
    tags,
    security: bearer,
    summary: "Delete a model",
    description: "Artifacts made of it stay. Refused while a job is working on it.",
    request: { params },
    responses: { 204: { description: "Deleted" }, ...problems },
  }),
  async (c) => {
    const { store, account } = c.var;
    const { id } = await requireModel(c, c.req.valid("param").id);
    const [job] = await store.models.activeJobs(id);
    if (job) throw new ProblemError("conflict", `${job} is working on the model; cancel it first.`);
    await store.objects.delete([...(await store.models.delete(account, id)), layersKey(account, id)]);
    return c.body(null, 204);
  },
);

/** @throws ProblemError 404, for another account's model too. */
export async function requireModel(c: Context<AppEnv>, id: string): Promise<ModelRow> {
  const row = await c.var.store.models.get(c.var.account, id);
  if (!row) throw notFound("model", id);
  return row;
}
