import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ACCELERATORS, CatalogueEntry } from "../../schemas/accelerators.ts";
import { Plan } from "../../schemas/plan.ts";
import { PlanRequest } from "../../schemas/resources.ts";
import { readStored } from "../jobs/stored-model.ts";
import { uploadedModel } from "../jobs/uploaded-model.ts";
import type { Model } from "../onnx/model.ts";
import { checkMix } from "../partition/mix.ts";
import { planModel } from "../partition/plan-model.ts";
import { zooModel } from "../partition/zoo.ts";
import { jsonBody } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { requireModel } from "./models.ts";
import { bearer, json, jsonRequest, problems } from "./responses.ts";
import { newRouter } from "./validation.ts";

const tags = ["Plans"];

export const plans = newRouter();

plans.openapi(
  createRoute({
    method: "post",
    path: "/plans",
    tags,
    security: bearer,
    summary: "Plan a model for a mix of accelerators",
    description:
      "Answered at once; nothing is compressed, stored or run. A compression with a mix runs its plan and says in `verification` what came out; `hone plan --verify` does that on your machine.",
    middleware: [jsonBody] as const,
    request: { body: jsonRequest(PlanRequest) },
    responses: { 200: json("The plan", Plan), ...problems },
  }),
  async (c) => {
    const { model, mix, ...options } = c.req.valid("json");
    checkMix(mix);
    const read = model.startsWith("zoo:")
      ? zooModel(model.slice("zoo:".length))
      : await readUploaded(c, model);
    return c.json(await planModel(read, mix, options), 200);
  },
);

plans.openapi(
  createRoute({
    method: "get",
    path: "/accelerators",
    tags,
    security: bearer,
    summary: "List the accelerators that a mix can name",
    responses: {
      200: json(
        "The whole catalogue",
        z.object({
          object: z.literal("list"),
          data: z.array(CatalogueEntry),
          has_more: z.literal(false),
        }),
      ),
      ...problems,
    },
  }),
  (c) => c.json({ object: "list" as const, data: [...ACCELERATORS], has_more: false as const }, 200),
);

async function readUploaded(c: Context<AppEnv>, id: string): Promise<Model> {
  const { store } = c.var;
  const row = await requireModel(c, id);
  return readStored(store.objects, uploadedModel(await store.models.files(row.id)));
}
