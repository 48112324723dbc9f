import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { CalibrationResource, Page } from "../../schemas/resources.ts";
import type { CalibrationRow } from "../store/calibrations.ts";
import { requireMediaType, withIncoming } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { UploadQuery } from "./models.ts";
import { PageQuery, page } from "./paging.ts";
import { notFound, ProblemError } from "./problem.ts";
import { bearer, json, problems } from "./responses.ts";
import { calibrationResource, storeCalibration } from "./store-calibration.ts";
import { newRouter } from "./validation.ts";

const TYPES = ["application/octet-stream", "application/zip", "application/x-zip-compressed"] as const;

const binary = z.string().openapi({ format: "binary" });
const params = z.object({ id: z.string().regex(/^cal_[0-9a-z]{24}$/) });
const tags = ["Calibrations"];

export const calibrations = newRouter();

calibrations.openapi(
  createRoute({
    method: "post",
    path: "/calibrations",
    tags,
    security: bearer,
    summary: "Upload sample inputs",
    description:
      "A .npz, .npy or .safetensors file. Arrays are matched to the model's inputs by name, the first axis counts samples, `labels` holds class indices; whole feeds of varying shapes are named x#0, x#1, …",
    request: {
      query: UploadQuery,
      body: {
        required: true,
        content: Object.fromEntries(TYPES.map((type) => [type, { schema: binary }])),
      },
    },
    responses: { 201: json("The calibration", CalibrationResource), ...problems },
  }),
  async (c) => {
    requireMediaType(c, TYPES);
    const { store, account } = c.var;
    const { name } = c.req.valid("query");
    const calibration = await withIncoming(c, c.req.raw.body, async ({ key, bytes, sha256 }) => {
      const source = await store.objects.open(key);
      const file = { bytes: await source.read(0, bytes), sha256 };
      return storeCalibration(store, account, file, name ?? null, Date.now());
    });
    return c.json(calibration, 201, { Location: `/v1/calibrations/${calibration.id}` });
  },
);

calibrations.openapi(
  createRoute({
    method: "get",
    path: "/calibrations",
    tags,
    security: bearer,
    summary: "List calibrations, newest first",
    request: { query: PageQuery },
    responses: { 200: json("A page of calibrations", Page(CalibrationResource)), ...problems },
  }),
  async (c) => {
    const { limit, after } = c.req.valid("query");
    const rows = await c.var.store.calibrations.list(c.var.account, limit + 1, after);
    return c.json(page(rows, limit, calibrationResource), 200);
  },
);

calibrations.openapi(
  createRoute({
    method: "get",
    path: "/calibrations/{id}",
    tags,
    security: bearer,
    summary: "Look at a calibration",
    request: { params },
    responses: { 200: json("The calibration", CalibrationResource), ...problems },
  }),
  async (c) => c.json(calibrationResource(await requireCalibration(c, c.req.valid("param").id)), 200),
);

calibrations.openapi(
  createRoute({
    method: "delete",
    path: "/calibrations/{id}",
    tags,
    security: bearer,
    summary: "Delete a calibration",
    description: "Refused while a job is working on it.",
    request: { params },
    responses: { 204: { description: "Deleted" }, ...problems },
  }),
  async (c) => {
    const { store, account } = c.var;
    const row = await requireCalibration(c, c.req.valid("param").id);
    const [job] = await store.calibrations.activeJobs(row.id);
    if (job) throw new ProblemError("conflict", `${job} is working on the calibration; cancel it first.`);
    await store.objects.delete(await store.calibrations.delete(account, row));
    return c.body(null, 204);
  },
);

/** @throws ProblemError 404, for another account's calibration too. */
export async function requireCalibration(c: Context<AppEnv>, id: string): Promise<CalibrationRow> {
  const row = await c.var.store.calibrations.get(c.var.account, id);
  if (!row) throw notFound("calibration", id);
  return row;
}
