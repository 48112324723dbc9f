import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AppEnv } from "./context.ts";
import { openApiDocument } from "./openapi.ts";
import { json, problems } from "./responses.ts";
import { newRouter } from "./validation.ts";

const tags = ["Service"];
const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}" +
  "code{font-size:.95em}table{border-collapse:collapse}td{padding:.2rem .8rem .2rem 0;vertical-align:top}";

/** What is open to everybody: health, the contract, and two pages for people. */
export function pages(app: OpenAPIHono<AppEnv>): OpenAPIHono<AppEnv> {
  const router = newRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/healthz",
      tags,
      summary: "Whether the service works",
      responses: { 200: json("It does", z.object({ status: z.literal("ok") })), ...problems },
    }),
    async (c) => {
      await c.var.store.ping();
      return c.json({ status: "ok" as const }, 200);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/openapi.json",
      tags,
      summary: "This document",
      responses: { 200: json("OpenAPI 3.1", z.object({}).loose()) },
    }),
    (c) => c.json({ ...openApiDocument(app) }, 200),
  );

  router.get("/docs", (c) => c.html(docsPage(app)));
  router.get("/", (c) => c.html(LANDING));
  return router;
}

const LANDING = page(
  "Hone",
  `<h1>Hone</h1>
<p>Upload an ONNX model, declare the accelerators you have, and get back a smaller and faster ONNX model, a partition plan and a measured report.</p>
<pre><code>curl -X POST "$HONE/v1/compress?mix=tpu-v3:2,tpu-v2:2" -H "Authorization: Bearer $HONE_API_KEY" \\
  -H "Content-Type: application/octet-stream" -H "Prefer: wait=60" --data-binary @model.onnx -o small.onnx</code></pre>
<p><a href="/docs">Reference</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/healthz">Health</a></p>`,
);

function docsPage(app: OpenAPIHono<AppEnv>): string {
  const { paths = {}, info } = openApiDocument(app);
  const rows = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item ?? {}).map(([method, operation]) => {
      const { summary = "", description = "" } = operation as { summary?: string; description?: string };
      return `<tr><td><code>${method.toUpperCase()}&nbsp;${path}</code></td><td><b>${summary}</b><br>${description}</td></tr>`;
    }),
  );
  return page(
    "Hone: reference",
    `<h1>Reference</h1><p>${info.description ?? ""}</p>
<p>Every schema is in <a href="/openapi.json">openapi.json</a>. Send <code>Authorization: Bearer hone_sk_…</code>.</p>
<table>${rows.join("\n")}</table>`,
  );
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title><style>${STYLE}</style></head><body>${body}</body></html>`;
}
