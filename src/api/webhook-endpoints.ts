import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  DeliveryResource,
  Page,
  WebhookEndpointChange,
  WebhookEndpointRequest,
  WebhookEndpointResource,
} from "../../schemas/resources.ts";
import { timestamp } from "../jobs/resource.ts";
import { newId } from "../store/ids.ts";
import type { EndpointRow } from "../store/webhooks.ts";
import { jsonBody } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { newSecret, requireTarget } from "./create-compression.ts";
import { deliveryResource } from "./delivery.ts";
import { PageQuery, page } from "./paging.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, jsonRequest, problems } from "./responses.ts";
import { newRouter } from "./validation.ts";

/** Each end of a job is told to every one of them, in one transaction. */
const MAX_ENDPOINTS = 20;

const params = z.object({ id: z.string().regex(/^whe_[0-9a-z]{24}$/) });
const deliveryParams = params.extend({ delivery: z.string().regex(/^dlv_[0-9a-z]{24}$/) });
const tags = ["Webhooks"];

export const webhookEndpoints = newRouter();

webhookEndpoints.openapi(
  createRoute({
    method: "post",
    path: "/webhook_endpoints",
    tags,
    security: bearer,
    summary: "Tell an address of the end of every job",
    description: "Signed by Standard Webhooks. The secret is shown in this answer and never again.",
    middleware: [jsonBody] as const,
    request: { body: jsonRequest(WebhookEndpointRequest) },
    responses: { 201: json("The endpoint, with its secret", WebhookEndpointResource), ...problems },
  }),
  async (c) => {
    const { url, description = null, enabled = true } = c.req.valid("json");
    requireTarget(c, url, "/url");
    const { store, account } = c.var;
    if ((await store.endpoints.list(account, MAX_ENDPOINTS)).length >= MAX_ENDPOINTS) {
      throw new ProblemError("conflict", `An account has at most ${MAX_ENDPOINTS} endpoints; delete one.`);
    }
    const now = Date.now();
    const id = newId("whe", now);
    const row = { id, accountId: account, url, description, enabled, secret: newSecret(), createdAt: now };
    await store.endpoints.insert(row);
    const location = { Location: `/v1/webhook_endpoints/${id}` };
    return c.json({ ...endpointResource(row), secret: row.secret }, 201, location);
  },
);

webhookEndpoints.openapi(
  createRoute({
    method: "get",
    path: "/webhook_endpoints",
    tags,
    security: bearer,
    summary: "List endpoints, newest first",
    request: { query: PageQuery },
    responses: { 200: json("A page of endpoints", Page(WebhookEndpointResource)), ...problems },
  }),
  async (c) => {
    const { limit, after } = c.req.valid("query");
    const rows = await c.var.store.endpoints.list(c.var.account, limit + 1, after);
    return c.json(page(rows, limit, endpointResource), 200);
  },
);

webhookEndpoints.openapi(
  createRoute({
    method: "get",
    path: "/webhook_endpoints/{id}",
    tags,
    security: bearer,
    summary: "Look at an endpoint",
    request: { params },
    responses: { 200: json("The endpoint", WebhookEndpointResource), ...problems },
  }),
  async (c) => c.json(endpointResource(await requireEndpoint(c, c.req.valid("param").id)), 200),
);

webhookEndpoints.openapi(
  createRoute({
    method: "patch",
    path: "/webhook_endpoints/{id}",
    tags,
    security: bearer,
    summary: "Change an endpoint",
    description: "Enables one again that a receiver had disabled by answering 410.",
    middleware: [jsonBody] as const,
    request: { params, body: jsonRequest(WebhookEndpointChange) },
    responses: { 200: json("The endpoint", WebhookEndpointResource), ...problems },
  }),
  async (c) => {
    const { id } = await requireEndpoint(c, c.req.valid("param").id);
    const change = c.req.valid("json");
    if (change.url !== undefined) requireTarget(c, change.url, "/url");
    if (Object.keys(change).length > 0) await c.var.store.endpoints.update(c.var.account, id, change);
    return c.json(endpointResource(await requireEndpoint(c, id)), 200);
  },
);

webhookEndpoints.openapi(
  createRoute({
    method: "delete",
    path: "/webhook_endpoints/{id}",
    tags,
    security: bearer,
    summary: "Delete an endpoint",
    description: "What was still to be sent to it is not sent.",
    request: { params },
    responses: { 204: { description: "Deleted" }, ...problems },
  }),
  async (c) => {
    const { id } = await requireEndpoint(c, c.req.valid("param").id);
    await c.var.store.endpoints.delete(c.var.account, id);
    await c.var.store.deliveries.failPending(c.var.account, id, "the endpoint was deleted");
    return c.body(null, 204);
  },
);

webhookEndpoints.openapi(
  createRoute({
    method: "get",
    path: "/webhook_endpoints/{id}/deliveries",
    tags,
    security: bearer,
    summary: "List what was sent to an endpoint, newest first",
    request: { params, query: PageQuery },
    responses: { 200: json("A page of deliveries", Page(DeliveryResource)), ...problems },
  }),
  async (c) => {
    const { id } = await requireEndpoint(c, c.req.valid("param").id);
    const { limit, after } = c.req.valid("query");
    const rows = await c.var.store.deliveries.list(c.var.account, { endpoint: id }, limit + 1, after);
    return c.json(page(rows, limit, deliveryResource), 200);
  },
);

webhookEndpoints.openapi(
  createRoute({
    method: "post",
    path: "/webhook_endpoints/{id}/deliveries/{delivery}/replay",
    tags,
    security: bearer,
    summary: "Send a webhook again",
    description: "With the same webhook-id, to the endpoint's present address.",
    request: { params: deliveryParams },
    responses: { 202: json("The delivery, due now", DeliveryResource), ...problems },
  }),
  async (c) => {
    const { id, delivery } = c.req.valid("param");
    const { url, secret } = await requireEndpoint(c, id);
    const of = { endpoint: id, url, secret };
    const row = await c.var.store.deliveries.replay(c.var.account, of, delivery, Date.now());
    if (!row) throw notFound("delivery", delivery);
    await c.env.DELIVERIES.send({ delivery: row.id });
    return c.json(deliveryResource(row), 202);
  },
);

async function requireEndpoint(c: Context<AppEnv>, id: string): Promise<EndpointRow> {
  const row = await c.var.store.endpoints.get(c.var.account, id);
  if (!row) throw notFound("webhook endpoint", id);
  return row;
}

function endpointResource(row: EndpointRow): WebhookEndpointResource {
  return {
    id: row.id,
    object: "webhook_endpoint",
    url: row.url,
    description: row.description,
    enabled: row.enabled,
    created_at: timestamp(row.createdAt),
  };
}
