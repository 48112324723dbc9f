import { z } from "zod";
import { Mix } from "./mix.ts";
import { PlanOptions } from "./plan.ts";
import { Recipe } from "./recipe.ts";

/** The HTTP resources, as they are sent. Times are ISO 8601 in UTC. */

const Timestamp = z.iso.datetime();
const id = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-z]{24}$`));
const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((m) => Object.keys(m).length <= 16, {
    message: "at most 16 entries",
  });

export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .describe("RFC 9457 problem details.");
export type Problem = z.infer<typeof Problem>;

export const TensorSpec = z.object({
  name: z.string(),
  type: z.string(),
  shape: z.array(z.union([z.int(), z.string(), z.null()])).nullable(),
});

export const ModelLayer = z.object({
  name: z.string(),
  op: z.string(),
  weight: z.string(),
  shape: z.array(z.int()),
  parameters: z.int(),
  bytes: z.int(),
  macs: z.number().nullable(),
});

/** What a look at the skeleton tells; also what `hone inspect --json` prints. */
export const ModelSummary = z.object({
  ir_version: z.int(),
  opset: z.int(),
  opsets: z.array(z.object({ domain: z.string(), version: z.int() })),
  producer: z.string().nullable(),
  nodes: z.int(),
  inputs: z.array(TensorSpec),
  outputs: z.array(TensorSpec),
  parameters: z.int(),
  bytes: z.int(),
  macs: z.number().nullable(),
  layers: z.array(ModelLayer),
  operators: z.record(z.string(), z.int()),
  unknown_operators: z.array(z.string()).describe("Kept as they are; their shapes are not inferred."),
});
export type ModelSummary = z.infer<typeof ModelSummary>;

export const ModelResource = ModelSummary.extend({
  id: id("mdl"),
  object: z.literal("model"),
  name: z.string().nullable(),
  sha256: z.string(),
  created_at: Timestamp,
});
export type ModelResource = z.infer<typeof ModelResource>;

export const CalibrationResource = z.object({
  id: id("cal"),
  object: z.literal("calibration"),
  format: z.enum(["npz", "npy", "safetensors"]),
  bytes: z.int(),
  sha256: z.string(),
  arrays: z.array(z.object({ name: z.string(), type: z.string(), shape: z.array(z.int()) })),
  created_at: Timestamp,
});
export type CalibrationResource = z.infer<typeof CalibrationResource>;

export const WebhookTarget = z.strictObject({
  url: z.url().max(2048),
  secret: z.string().max(128).optional(),
});

export const CompressionRequest = z.strictObject({
  model: id("mdl"),
  recipe: Recipe.optional(),
  calibration: id("cal").optional(),
  mix: Mix.optional(),
  plan: PlanOptions.optional(),
  webhook: WebhookTarget.optional(),
  metadata: Metadata.optional(),
});
export type CompressionRequest = z.infer<typeof CompressionRequest>;

export const CompressionStatus = z.enum(["queued", "running", "succeeded", "failed", "canceled"]);
export type CompressionStatus = z.infer<typeof CompressionStatus>;

export const JobError = z.object({ code: z.string(), message: z.string() });

export const CompressionResource = z.object({
  id: id("cmp"),
  object: z.literal("compression"),
  model: id("mdl"),
  calibration: id("cal").nullable(),
  recipe: Recipe,
  mix: Mix.nullable(),
  status: CompressionStatus,
  step: z.string().nullable(),
  progress: z.number().min(0).max(1),
  error: JobError.nullable(),
  artifact: z.object({ url: z.string(), bytes: z.int(), sha256: z.string() }).nullable(),
  webhook: z
    .object({ url: z.string(), secret: z.string().optional() })
    .nullable()
    .describe("The secret is shown once, in the answer to the creation."),
  metadata: Metadata,
  created_at: Timestamp,
  started_at: Timestamp.nullable(),
  finished_at: Timestamp.nullable(),
  expires_at: Timestamp.nullable(),
});
export type CompressionResource = z.infer<typeof CompressionResource>;

export const PlanRequest = PlanOptions.extend({ model: id("mdl"), mix: Mix });
export type PlanRequest = z.infer<typeof PlanRequest>;

/** Body of a webhook: {type, timestamp, data}. */
export const WebhookEvent = z.object({
  type: z.enum(["compression.succeeded", "compression.failed", "compression.canceled"]),
  timestamp: Timestamp,
  data: CompressionResource,
});
export type WebhookEvent = z.infer<typeof WebhookEvent>;

export const WebhookEndpointRequest = z.strictObject({
  url: z.url().max(2048),
  description: z.string().max(256).optional(),
  enabled: z.boolean().optional(),
});

export const WebhookEndpointResource = z.object({
  id: id("whe"),
  object: z.literal("webhook_endpoint"),
  url: z.string(),
  description: z.string().nullable(),
  enabled: z.boolean(),
  secret: z.string().optional().describe("Shown once, in the answer to the creation."),
  created_at: Timestamp,
});
export type WebhookEndpointResource = z.infer<typeof WebhookEndpointResource>;

/** A page of a list. */
export const Page = <T extends z.ZodType>(item: T) =>
  z.object({ object: z.literal("list"), data: z.array(item), has_more: z.boolean() });
