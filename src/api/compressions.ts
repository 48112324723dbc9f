import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  CompressionRequest,
  CompressionResource,
  CompressionStatus,
  DeliveryResource,
  Page,
} from "../../schemas/resources.ts";
import { cancelJob, deleteJob } from "../jobs/lifecycle.ts";
import { compressionResource } from "../jobs/resource.ts";
import type { CompressionRow } from "../store/compressions.ts";
import { jsonBody } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { createCompression } from "./create-compression.ts";
import { deliveryResource } from "./delivery.ts";
import { PageQuery, page, pageQuery } from "./paging.ts";
import { preferredWait, waitForEnd } from "./prefer.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, jsonRequest, problems } from "./responses.ts";
import { newRouter } from "./validation.ts";

export const CompressionParams = z.object({ id: z.string().regex(/^cmp_[0-9a-z]{24}$/) });
const DeliveryParams = CompressionParams.extend({ delivery: z.string().regex(/^dlv_[0-9a-z]{24}$/) });
const tags = ["Compressions"];

export const compressions = newRouter();

compressions.openapi(
  createRoute({
    method: "post",
    path: "/compressions",
    tags,
    security: bearer,
    summary: "Compress a model",
    description:
      "Starts a durable job. Without a recipe Hone chooses per layer under a fidelity guard. `Prefer: wait=N` holds the answer up to 60 seconds.",
    middleware: [jsonBody] as const,
    request: { body: jsonRequest(CompressionRequest) },
    responses: {
      200: json("The job has ended within the time that Prefer allowed", CompressionResource),
      202: json("The job", CompressionResource),
      ...problems,
    },
  }),
  async (c) => {
    const created = await createCompression(c, c.req.valid("json"));
    const location = { Location: `/v1/compressions/${created.id}` };
    const wait = preferredWait(c);
    if (wait === 0) return c.json(created, 202, location);
    const row = await waitForEnd(c, created.id, wait);
    const now = row ? { ...compressionResource(row), webhook: created.webhook } : created;
    const headers = { ...location, "Preference-Applied": `wait=${wait}` };
    return row?.finishedAt ? c.json(now, 200, headers) : c.json(now, 202, headers);
  },
);

compressions.openapi(
  createRoute({
    method: "get",
    path: "/compressions",
    tags,
    security: bearer,
    summary: "List jobs, newest first",
    request: {
      query: z.strictObject({
        ...pageQuery,
        status: CompressionStatus.optional(),
        model: z.string().max(64).optional(),
      }),
    },
    responses: { 200: json("A page of jobs", Page(CompressionResource)), ...problems },
  }),
  async (c) => {
    const { limit, ...filter } = c.req.valid("query");
    const rows = await c.var.store.compressions.list(c.var.account, limit + 1, filter);
    return c.json(page(rows, limit, compressionResource), 200);
  },
);

compressions.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}",
    tags,
    security: bearer,
    summary: "Look at a job",
    request: { params: CompressionParams },
    responses: { 200: json("The job", CompressionResource), ...problems },
  }),
  async (c) => c.json(compressionResource(await requireCompression(c, c.req.valid("param").id)), 200),
);

compressions.openapi(
  createRoute({
    method: "delete",
    path: "/compressions/{id}",
    tags,
    security: bearer,
    summary: "Delete a job with its artifact, report and plan",
    description: "Refused before it has ended.",
    request: { params: CompressionParams },
    responses: { 204: { description: "Deleted" }, ...problems },
  }),
  async (c) => {
    const row = await requireCompression(c, c.req.valid("param").id);
    if (row.finishedAt === null) {
      throw new ProblemError("conflict", `The job is ${row.status}; cancel it first.`);
    }
    await deleteJob(c.var.store, row);
    return c.body(null, 204);
  },
);

compressions.openapi(
  createRoute({
    method: "post",
    path: "/compressions/{id}/cancel",
    tags,
    security: bearer,
    summary: "Cancel a job",
    description:
      "Stops it at whatever step it is and frees what it wrote. Canceling a canceled job changes nothing.",
    request: { params: CompressionParams },
    responses: { 200: json("The job", CompressionResource), ...problems },
  }),
  async (c) => {
    const { id } = await requireCompression(c, c.req.valid("param").id);
    await cancelJob(c.var.store, c.env, id, Date.now());
    const row = await requireCompression(c, id);
    if (row.status !== "canceled") throw new ProblemError("conflict", `The job has ${row.status} already.`);
    return c.json(compressionResource(row), 200);
  },
);

compressions.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}/deliveries",
    tags,
    security: bearer,
    summary: "List the webhooks of a job",
    request: { params: CompressionParams, query: PageQuery },
    responses: { 200: json("A page of deliveries", Page(DeliveryResource)), ...problems },
  }),
  async (c) => {
    const { id } = await requireCompression(c, c.req.valid("param").id);
    const { limit, after } = c.req.valid("query");
    const of = { compression: id };
    const rows = await c.var.store.deliveries.list(c.var.account, of, limit + 1, after);
    return c.json(page(rows, limit, deliveryResource), 200);
  },
);

compressions.openapi(
  createRoute({
    method: "post",
    path: "/compressions/{id}/deliveries/{delivery}/replay",
    tags,
    security: bearer,
    summary: "Send a webhook of a job again",
    request: { params: DeliveryParams },
    responses: { 202: json("The delivery, due now", DeliveryResource), ...problems },
  }),
  async (c) => {
    const { id, delivery } = c.req.valid("param");
    await requireCompression(c, id);
    const { store, account } = c.var;
    const row = await store.deliveries.replay(account, { compression: id }, delivery, Date.now());
    if (!row) throw notFound("delivery", delivery);
    await c.env.DELIVERIES.send({ delivery: row.id });
    return c.json(deliveryResource(row), 202);
  },
);

/** @throws ProblemError 404, for another account's job too. */
export async function requireCompression(c: Context<AppEnv>, id: string): Promise<CompressionRow> {
  const row = await c.var.store.compressions.get(c.var.account, id);
  if (!row) throw notFound("compression", id);
  return row;
}
