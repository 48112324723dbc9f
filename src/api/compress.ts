import { createHash } from "node:crypto";
import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { CompressionRequest, CompressionResource, type ModelResource } from "../../schemas/resources.ts";
import { JobFailure } from "../jobs/failures.ts";
import { compressionResource } from "../jobs/resource.ts";
import { parseMix } from "../partition/mix.ts";
import { checkLength, limitedBytes, requireMediaType, withIncoming } from "./body.ts";
import type { AppEnv } from "./context.ts";
import { createCompression } from "./create-compression.ts";
import { MODEL_TYPES } from "./models.ts";
import { preferredWait, waitForEnd } from "./prefer.ts";
import { ProblemError } from "./problem.ts";
import { bearer, json, problems } from "./responses.ts";
import { artifactResponse } from "./results.ts";
import { storeCalibration } from "./store-calibration.ts";
import { arrivedFile, storeModel } from "./store-model.ts";
import { newRouter, parsed } from "./validation.ts";

const FORM = "multipart/form-data";
/** A form is held in memory as a whole; larger models go in the body alone. */
const MAX_FORM_BYTES = 40_000_000;
const FILES = ["model", "calibration"];
/** Shorthands for the recipe, as the command line has them. */
const SHORTHANDS = ["size_ratio", "min_fidelity", "sparsity", "methods"] as const;

const number = z.coerce.number();
const binary = z.string().openapi({ format: "binary" });
const fields = {
  name: z.string().min(1).max(256).optional(),
  recipe: z.string().optional().describe("JSON."),
  mix: z.string().optional().describe("JSON, or tpu-v3:2,tpu-v2:2."),
  plan: z.string().optional().describe("JSON."),
  metadata: z.string().optional().describe("JSON."),
  webhook: z.string().optional().describe("JSON, or the address alone."),
  size_ratio: number.optional(),
  min_fidelity: number.optional(),
  sparsity: number.optional().describe("Share of the weights to set to zero."),
  methods: z.string().optional().describe("Comma-separated."),
};
const Query = z.strictObject({ ...fields, calibration: z.string().optional().describe("Id.") });
type Query = z.infer<typeof Query>;

export const compress = newRouter();

compress.openapi(
  createRoute({
    method: "post",
    path: "/compress",
    tags: ["Compressions"],
    security: bearer,
    summary: "Compress a model in one request",
    description:
      "The model is the body and the rest in the query, or everything is in a form of at most 40 MB. Answers as POST /v1/compressions does, but with `Prefer: wait=N` and a job that succeeds in time the answer is the artifact itself.",
    request: {
      query: Query,
      body: {
        required: true,
        content: {
          ...Object.fromEntries(MODEL_TYPES.map((type) => [type, { schema: binary }])),
          // Plain JSON Schema: the handler reads the form itself, files included.
          [FORM]: {
            schema: {
              type: "object",
              required: ["model"],
              properties: {
                ...Object.fromEntries(Object.keys(fields).map((name) => [name, { type: "string" as const }])),
                model: { type: "string", format: "binary" },
                calibration: { type: "string", format: "binary", description: "A file, or an id." },
              },
            },
          },
        },
      },
    },
    responses: {
      200: { description: "The artifact", content: { "application/octet-stream": { schema: binary } } },
      202: json("The job", CompressionResource),
      ...problems,
    },
  }),
  async (c) => {
    const type = requireMediaType(c, [...MODEL_TYPES, FORM]);
    const request = type === FORM ? await fromForm(c) : await fromBody(c);
    const created = await createCompression(c, request);
    const location = `/v1/compressions/${created.id}`;
    const wait = preferredWait(c);
    const row = wait > 0 ? await waitForEnd(c, created.id, wait) : undefined;
    const headers = { Location: location, ...(wait > 0 && { "Preference-Applied": `wait=${wait}` }) };
    if (!row?.finishedAt) {
      const now = row ? { ...compressionResource(row), webhook: created.webhook } : created;
      return c.json(now, 202, headers);
    }
    if (row.status !== "succeeded") {
      const message = row.errorMessage ?? `The job ${location} has ${row.status}.`;
      throw new JobFailure({ code: row.errorCode ?? row.status, message });
    }
    const answer = await artifactResponse(c, row);
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
    answer.headers.set("Content-Location", `${location}/artifact`);
    return answer;
  },
);

async function fromBody(c: Context<AppEnv>): Promise<z.output<typeof CompressionRequest>> {
  const query = parsed(Query, c.req.query(), "query");
  // Everything that can be wrong with the query is found before a model is taken in.
  const rest = requestFields(query, query.calibration);
  const model = await keepModel(c, c.req.raw.body, query.name);
  return { ...rest, model: model.id };
}

async function fromForm(c: Context<AppEnv>): Promise<z.output<typeof CompressionRequest>> {
  checkLength(c, MAX_FORM_BYTES);
  const body = await limitedBytes(c.req.raw.body, MAX_FORM_BYTES);
  const headers = { "content-type": c.req.header("content-type") ?? "" };
  const form = await new Response(body, { headers }).formData().catch(() => {
    throw new ProblemError(
      "malformed_body",
      "The body is not multipart/form-data with the declared boundary.",
    );
  });
  const { name, ...texts } = { ...c.req.query(), ...textsOf(form) };
  const query = parsed(Query, { ...texts, ...(name !== undefined && { name }) }, "body");
  const rest = requestFields(query, query.calibration);
  const { model, calibration } = filesOf(form);
  if (!model) {
    const detail = "The form has no file `model`.";
    throw new ProblemError("invalid_request", detail, { errors: [{ pointer: "/model", detail }] });
  }
  const samples = calibration ? await keepCalibration(c, calibration) : undefined;
  const { id } = await keepModel(c, model.stream(), query.name);
  return { ...rest, ...(samples && { calibration: samples.id }), model: id };
}

function keepModel(
  c: Context<AppEnv>,
  body: ReadableStream<Uint8Array> | null,
  name: string | undefined,
): Promise<ModelResource> {
  const { store, account } = c.var;
  return withIncoming(c, body, async ({ key }) =>
    storeModel(store, account, await arrivedFile(store, key), name ?? null, Date.now()),
  );
}

async function keepCalibration(c: Context<AppEnv>, file: File) {
  const { store, account } = c.var;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return storeCalibration(store, account, { bytes, sha256 }, null, Date.now());
}

/** The fields of a compression but its model, from text. */
function requestFields(query: Query, calibration: string | undefined) {
  const { name: _name, size_ratio, min_fidelity, sparsity, methods, mix, webhook } = query;
  const recipe = jsonField("recipe", query.recipe) as Record<string, Record<string, unknown>> | undefined;
  const shorthand = SHORTHANDS.some((key) => query[key] !== undefined);
  const request = {
    recipe: shorthand
      ? {
          ...recipe,
          ...(methods !== undefined && { methods: methods === "" ? [] : methods.split(",") }),
          ...(sparsity !== undefined && { sparsity: { ...recipe?.sparsity, ratio: sparsity } }),
          ...((size_ratio !== undefined || min_fidelity !== undefined) && {
            target: { ...recipe?.target, size_ratio, min_fidelity },
          }),
        }
      : recipe,
    mix: mix === undefined || /^\s*\[/.test(mix) ? jsonField("mix", mix) : parseMix(mix),
    plan: jsonField("plan", query.plan),
    metadata: jsonField("metadata", query.metadata),
    webhook:
      webhook === undefined || /^\s*\{/.test(webhook) ? jsonField("webhook", webhook) : { url: webhook },
    calibration,
  };
  return parsed(CompressionRequest.omit({ model: true }), request, "body");
}

function jsonField(name: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const detail = `${name} is no JSON: ${error instanceof Error ? error.message : String(error)}`;
    throw new ProblemError("invalid_request", detail, { errors: [{ pointer: `/${name}`, detail }] });
  }
}

/** Text fields of a form; an unknown one is refused by the schema later. */
function textsOf(form: FormData): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of form.entries()) if (typeof value === "string") texts[name] = value;
  return texts;
}

function filesOf(form: FormData): { model?: File; calibration?: File } {
  const files: Record<string, File> = {};
  for (const [name, value] of form.entries()) {
    if (typeof value === "string") continue;
    if (!FILES.includes(name)) {
      const detail = `unknown file; a form has ${FILES.join(" and ")}`;
      throw new ProblemError("invalid_request", detail, { errors: [{ pointer: `/${name}`, detail }] });
    }
    files[name] = value;
  }
  return files;
}
