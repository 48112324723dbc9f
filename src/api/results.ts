import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { Plan, PlanFormat } from "../../schemas/plan.ts";
import { Report } from "../../schemas/report.ts";
import { reportPage } from "../evaluate/report-page.ts";
import { artifactFormat } from "../jobs/resource.ts";
import { readArtifact } from "../jobs/stored-model.ts";
import { exportPlan } from "../partition/exports/export-plan.ts";
import type { CompressionRow } from "../store/compressions.ts";
import { CompressionParams, requireCompression } from "./compressions.ts";
import type { AppEnv } from "./context.ts";
import { ProblemError } from "./problem.ts";
import { matchesEtag, rangeOf } from "./range.ts";
import { bearer, problems } from "./responses.ts";
import { streamOf } from "./stream-of.ts";
import { newRouter } from "./validation.ts";

const tags = ["Compressions"];
const binary = z.string().openapi({ format: "binary" });

export const results = newRouter();

results.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}/artifact",
    tags,
    security: bearer,
    summary: "Download the compressed model",
    description: "With ETag, If-None-Match, Range and If-Range.",
    request: { params: CompressionParams },
    responses: {
      200: { description: "The ONNX file", content: { "application/octet-stream": { schema: binary } } },
      206: { description: "A part of it", content: { "application/octet-stream": { schema: binary } } },
      304: { description: "Not modified" },
      416: { description: "The range lies outside the file" },
      ...problems,
    },
  }),
  async (c) => artifactResponse(c, await requireCompression(c, c.req.valid("param").id)),
);

results.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}/report",
    tags,
    security: bearer,
    summary: "Read what was measured",
    description: "As JSON, or as a page for people with `Accept: text/html`.",
    request: { params: CompressionParams },
    responses: {
      200: {
        description: "The report",
        content: { "application/json": { schema: Report }, "text/html": { schema: z.string() } },
      },
      ...problems,
    },
  }),
  async (c) => {
    const { objects } = c.var.store;
    const row = await requireCompression(c, c.req.valid("param").id);
    const report = Report.parse(JSON.parse(await objects.text(requireResult(row, row.reportKey))));
    c.header("Vary", "Accept");
    if (!prefersHtml(c)) return c.json(report, 200);
    const plan = row.planKey === null ? null : Plan.parse(JSON.parse(await objects.text(row.planKey)));
    // The page holds no script and loads nothing; say so, in case a name in a model tries to.
    c.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:");
    return c.html(reportPage(report, plan), 200);
  },
);

results.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}/plan",
    tags,
    security: bearer,
    summary: "Read the partition plan",
    description: "As JSON, or with `format` as a picture, as Python or as an annotated copy of the artifact.",
    request: { params: CompressionParams, query: z.object({ format: PlanFormat.optional() }) },
    responses: {
      200: {
        description: "The plan",
        content: {
          "application/json": { schema: Plan },
          "image/svg+xml": { schema: z.string() },
          "text/x-python": { schema: z.string() },
          "application/octet-stream": { schema: binary },
        },
      },
      ...problems,
    },
  }),
  async (c) => {
    const { objects } = c.var.store;
    const row = await requireCompression(c, c.req.valid("param").id);
    const artifactKey = requireResult(row, row.artifactKey);
    if (row.planKey === null) throw new ProblemError("not_found", "The job was given no mix to plan for.");
    const plan = Plan.parse(JSON.parse(await objects.text(row.planKey)));
    const { format = "json" } = c.req.valid("query");
    if (format === "json") return c.json(plan, 200);
    const open = () => readArtifact(objects, artifactKey);
    const { mediaType, extension, content } = await exportPlan(format, plan, open);
    return new Response(typeof content === "string" ? content : streamOf(content), {
      headers: {
        "Content-Type": mediaType,
        "Content-Disposition": `attachment; filename="${row.id}-plan.${extension}"`,
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
      },
    });
  },
);

/** The artifact of a job that has succeeded, or the part of it that is asked for. */
export async function artifactResponse(c: Context<AppEnv>, row: CompressionRow): Promise<Response> {
  const key = requireResult(row, row.artifactKey);
  const format = artifactFormat(key);
  const size = row.artifactBytes ?? 0;
  const etag = `"${row.artifactSha256}"`;
  const headers = new Headers({
    ETag: etag,
    "Accept-Ranges": "bytes",
    // The bytes of a job never change, but they belong to one account.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Type": format === "tar" ? "application/x-tar" : "application/octet-stream",
    "Content-Disposition": `attachment; filename="${row.id}.${format}"`,
  });
  if (matchesEtag(c.req.header("if-none-match"), etag)) return new Response(null, { status: 304, headers });
  const ifRange = c.req.header("if-range");
  const range =
    ifRange === undefined || ifRange === etag
      ? rangeOf(c.req.header("range"), size)
      : ({ kind: "whole" } as const);
  if (range.kind === "unsatisfiable") {
    throw new ProblemError("range_not_satisfiable", `The artifact has ${size} bytes.`, {
      headers: { "Content-Range": `bytes */${size}` },
    });
  }
  const { offset, length } = range.kind === "part" ? range : { offset: 0, length: size };
  headers.set("Content-Length", String(length));
  if (range.kind === "part") {
    headers.set("Content-Range", `bytes ${offset}-${offset + length - 1}/${size}`);
  }
  const stream = await c.var.store.objects.stream(
    key,
    range.kind === "part" ? { offset, length } : undefined,
  );
  return new Response(stream, { status: range.kind === "part" ? 206 : 200, headers });
}

/** @throws ProblemError before the job has succeeded. */
function requireResult(row: CompressionRow, key: string | null): string {
  if (key !== null) return key;
  const state = row.finishedAt === null ? `is ${row.status}` : `has ${row.status}`;
  throw new ProblemError("conflict", `The job ${state}; only one that has succeeded has results.`);
}

/** Whether HTML comes before JSON in what the client accepts. */
function prefersHtml(c: Context<AppEnv>): boolean {
  const accept = c.req.header("accept") ?? "";
  const html = accept.indexOf("text/html");
  const json = accept.indexOf("application/json");
  return html >= 0 && (json < 0 || html < json);
}
