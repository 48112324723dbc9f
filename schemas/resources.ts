import { z } from "zod";
import { Mix } from "./mix.ts";
import { PlanOptions, servingFits, servingMessage } from "./plan.ts";
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
    code: z.string().describe("The last part of `type`: stable, for programs."),
    request_id: z.string(),
    errors: z
      .array(z.object({ pointer: z.string().describe("JSON pointer to the field."), detail: z.string() }))
      .optional(),
  })
  .describe("RFC 9457 problem details.")
  .meta({ id: "Problem" });
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
}).meta({ id: "Model" });
export type ModelResource = z.infer<typeof ModelResource>;

/** A model in a list: without its layers, which may be megabytes. */
export const ModelListItem = z
  .object(ModelResource.shape)
  .omit({ layers: true })
  .meta({ id: "ModelListItem" });
export type ModelListItem = z.infer<typeof ModelListItem>;

export const CalibrationResource = z
  .object({
    id: id("cal"),
    object: z.literal("calibration"),
    name: z.string().nullable(),
    format: z.enum(["npz", "npy", "safetensors"]),
    bytes: z.int(),
    sha256: z.string(),
    arrays: z.array(z.object({ name: z.string(), type: z.string(), shape: z.array(z.int()) })),
    created_at: Timestamp,
  })
  .meta({ id: "Calibration" });
export type CalibrationResource = z.infer<typeof CalibrationResource>;

export const WebhookTarget = z.strictObject({
  url: z.url().max(2048),
  secret: z.string().max(128).optional(),
});

export const CompressionRequest = z
  .strictObject({
    model: id("mdl"),
    recipe: Recipe.optional(),
    calibration: id("cal").optional(),
    mix: Mix.optional(),
    plan: PlanOptions.optional(),
    webhook: WebhookTarget.optional(),
    metadata: Metadata.optional(),
  })
  .meta({ id: "CompressionRequest" });
export type CompressionRequest = z.infer<typeof CompressionRequest>;

export const CompressionStatus = z.enum(["queued", "running", "succeeded", "failed", "canceled"]);
export type CompressionStatus = z.infer<typeof CompressionStatus>;

export const JobError = z.object({ code: z.string(), message: z.string() });

export const CompressionResource = z
  .object({
    id: id("cmp"),
    object: z.literal("compression"),
    model: id("mdl"),
    calibration: id("cal").nullable(),
    recipe: Recipe,
    mix: Mix.nullable(),
    plan: PlanOptions,
    status: CompressionStatus,
    step: z.string().nullable(),
    progress: z.number().min(0).max(1),
    error: JobError.nullable(),
    artifact: z
      .object({
        url: z.string(),
        bytes: z.int(),
        sha256: z.string(),
        format: z
          .enum(["onnx", "tar"])
          .describe(
            "One ONNX file; past 2 GiB, which none can have, a tar of the model and its external data.",
          ),
      })
      .nullable(),
    webhook: z
      .object({ url: z.string(), secret: z.string().optional() })
      .nullable()
      .describe("The secret is shown once, in the answer to the creation."),
    metadata: Metadata,
    created_at: Timestamp,
    started_at: Timestamp.nullable(),
    finished_at: Timestamp.nullable(),
    expires_at: Timestamp.nullable(),
  })
  .meta({ id: "Compression" });
export type CompressionResource = z.infer<typeof CompressionResource>;

export const PlanRequest = z
  .strictObject({
    ...PlanOptions.shape,
    model: z
      .union([id("mdl"), z.string().regex(/^zoo:[a-z0-9._-]{1,64}$/)])
      .describe("An uploaded model, or a shape-only one that the planner builds itself: zoo:resnet-50."),
    mix: Mix,
  })
  .refine(servingFits, servingMessage)
  .meta({ id: "PlanRequest" });
export type PlanRequest = z.infer<typeof PlanRequest>;

/** Body of a webhook: {type, timestamp, data}. */
export const WebhookEvent = z
  .object({
    type: z.enum(["compression.succeeded", "compression.failed", "compression.canceled"]),
    timestamp: Timestamp,
    data: z
      .object(CompressionResource.shape)
      .partial({ recipe: true, mix: true })
      .describe("Recipe and mix are left out where they make the message longer than 20 kB."),
  })
  .meta({ id: "WebhookEvent" });
export type WebhookEvent = z.infer<typeof WebhookEvent>;

export const CompressionEvent = z
  .object({
    id: z.int().describe("Grows; resume a stream with it as Last-Event-ID."),
    type: z.enum(["queued", "started", "progress", "succeeded", "failed", "canceled"]),
    status: CompressionStatus,
    step: z.string().nullable(),
    progress: z.number().min(0).max(1),
    created_at: Timestamp,
  })
  .meta({ id: "CompressionEvent" });
export type CompressionEvent = z.infer<typeof CompressionEvent>;

export const WebhookEndpointRequest = z
  .strictObject({
    url: z.url().max(2048),
    description: z.string().max(256).optional(),
    enabled: z.boolean().optional(),
  })
  .meta({ id: "WebhookEndpointRequest" });

export const WebhookEndpointResource = z
  .object({
    id: id("whe"),
    object: z.literal("webhook_endpoint"),
    url: z.string(),
    description: z.string().nullable(),
    enabled: z.boolean(),
    secret: z.string().optional().describe("Shown once, in the answer to the creation."),
    created_at: Timestamp,
  })
  .meta({ id: "WebhookEndpoint" });
export type WebhookEndpointResource = z.infer<typeof WebhookEndpointResource>;

export const WebhookEndpointChange = z
  .strictObject({
    url: z.url().max(2048).optional(),
    description: z.string().max(256).nullable().optional(),
    enabled: z.boolean().optional(),
  })
  .meta({ id: "WebhookEndpointChange" });

export const DeliveryResource = z
  .object({
    id: id("dlv"),
    object: z.literal("delivery"),
    event_id: id("evt").describe("The webhook-id header of every attempt."),
    type: z.string(),
    compression: id("cmp"),
    url: z.string(),
    status: z.enum(["pending", "delivered", "failed"]),
    attempts: z.int(),
    next_attempt_at: Timestamp.nullable(),
    response_status: z.int().nullable(),
    last_error: z.string().nullable(),
    created_at: Timestamp,
    delivered_at: Timestamp.nullable(),
  })
  .meta({ id: "Delivery" });
export type DeliveryResource = z.infer<typeof DeliveryResource>;

const FileBytes = z.int().positive().max(1_099_511_627_776);
const FileSha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe("Of the whole file, in hex; checked when the upload is completed.");

export const UploadRequest = z
  .union([
    z.strictObject({
      bytes: FileBytes.describe("Size of the whole file."),
      name: z.string().min(1).max(256).optional(),
      sha256: FileSha256.optional(),
    }),
    z.strictObject({
      files: z
        .array(
          z.strictObject({
            path: z
              .string()
              .min(1)
              .max(512)
              .describe("Relative to the folder of the model, as the model names it."),
            bytes: FileBytes,
            sha256: FileSha256.optional(),
          }),
        )
        .min(1)
        .max(1000)
        .describe("One ONNX file, and those that hold its external data."),
      name: z.string().min(1).max(256).optional(),
    }),
  ])
  .meta({ id: "UploadRequest" });
export type UploadRequest = z.infer<typeof UploadRequest>;

export const UploadResource = z
  .object({
    id: id("upl"),
    object: z.literal("upload"),
    name: z.string().nullable(),
    bytes: z.int(),
    part_bytes: z.int().describe("Size of every part but the last, chosen by the server."),
    parts: z.int().describe("Number of parts to send, numbered from 1."),
    files: z
      .array(z.object({ path: z.string(), bytes: z.int(), first_part: z.int(), parts: z.int() }))
      .optional()
      .describe("Which parts belong to which file, where there are several; each file begins a part."),
    received: z.array(z.int()).describe("Numbers of the parts that have arrived."),
    model: id("mdl").nullable().describe("Once completed."),
    created_at: Timestamp,
    expires_at: Timestamp,
  })
  .meta({ id: "Upload" });
export type UploadResource = z.infer<typeof UploadResource>;

/** A page of a list. */
export const Page = <T extends z.ZodType>(item: T) =>
  z.object({ object: z.literal("list"), data: z.array(item), has_more: z.boolean() });
