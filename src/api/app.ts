import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { requestId } from "hono/request-id";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { newId } from "../store/ids.ts";
import { Store } from "../store/store.ts";
import { authenticate } from "./auth.ts";
import { calibrations } from "./calibrations.ts";
import { compress } from "./compress.ts";
import { compressions } from "./compressions.ts";
import type { AppEnv } from "./context.ts";
import { events } from "./events.ts";
import { idempotency } from "./idempotency.ts";
import { models } from "./models.ts";
import { pages } from "./pages.ts";
import { plans } from "./plans.ts";
import { ProblemError, problemOf } from "./problem.ts";
import { results } from "./results.ts";
import { uploads } from "./uploads.ts";
import { newRouter } from "./validation.ts";
import { webhookEndpoints } from "./webhook-endpoints.ts";

/** The HTTP API. Knows nothing of the machine it runs on but its bindings. */
export function createApp(): OpenAPIHono<AppEnv> {
  const app = newRouter();
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "An API key: `hone_sk_…`.",
  });
  app.use("*", requestId({ generator: () => newId("req", Date.now()) }));
  app.use(
    "*",
    cors({
      origin: "*",
      exposeHeaders: ["ETag", "Location", "Content-Location", "Content-Range", "X-Request-Id", "Retry-After"],
    }),
  );
  app.use("*", async (c, next) => {
    c.set("store", new Store(c.env));
    await next();
  });
  app.use("/v1/*", authenticate);
  app.use(
    "/v1/*",
    idempotency(async (request, c) => app.fetch(request, c.env, c.executionCtx)),
  );
  for (const resource of [
    models,
    uploads,
    calibrations,
    compressions,
    events,
    results,
    compress,
    plans,
    webhookEndpoints,
  ]) {
    app.route("/v1", resource);
  }
  app.route("/", pages(app));
  app.notFound((c) => answer(c, nothingHere(app, c)));
  app.onError((error, c) => answer(c, error));
  return app;
}

function answer(c: Context<AppEnv>, error: unknown): Response {
  const known = error instanceof HTTPException ? new ProblemError("malformed_body", error.message) : error;
  const { problem, headers } = problemOf(known, { path: c.req.path, id: c.var.requestId });
  if (problem.status >= 500) console.error(`${c.var.requestId} ${c.req.method} ${c.req.path}:`, error);
  return c.json(problem, problem.status as ContentfulStatusCode, {
    ...headers,
    "Content-Type": "application/problem+json",
  });
}

/** 405 where the path has other methods, else 404. */
function nothingHere(app: OpenAPIHono<AppEnv>, c: Context<AppEnv>): ProblemError {
  const { path } = c.req;
  const allowed = new Set(
    app.routes
      .filter((route) => route.method !== "ALL" && pattern(route.path).test(path))
      .map(({ method }) => method),
  );
  if (allowed.size === 0) return new ProblemError("not_found", `There is nothing at ${path}.`);
  if (allowed.has("GET")) allowed.add("HEAD");
  const list = [...allowed].toSorted().join(", ");
  return new ProblemError("method_not_allowed", `${path} has ${list}, not ${c.req.method}.`, {
    headers: { Allow: list },
  });
}

/** `/v1/models/:id` as a regular expression. */
function pattern(route: string): RegExp {
  return new RegExp(`^${route.replace(/:[^/]+/g, "[^/]+")}$`);
}
