import { sql } from "drizzle-orm";
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { Mix } from "../../schemas/mix.ts";
import type { PlanOptions } from "../../schemas/plan.ts";
import type { Recipe } from "../../schemas/recipe.ts";
import type { CalibrationResource, CompressionStatus, ModelListItem } from "../../schemas/resources.ts";

/**
 * The D1 tables. Times are milliseconds since 1970 in UTC. Every row belongs to an account, and every query of
 * the API names it. Ids begin with their time of creation, so that the order of ids is the order of age.
 */

/** Who pays. Example: {id: "acc_0mf…", name: "development"}. Lives until an operator deletes it. */
export const accounts = sqliteTable("accounts", {
  id: text().primaryKey(),
  name: text().notNull(),
  createdAt: integer("created_at").notNull(),
});

/**
 * Keys by the SHA-256 of their text; the text itself is shown once and never stored. `hint` is its last four
 * characters. Lives until it is revoked, which keeps the row for the record.
 */
export const apiKeys = sqliteTable("api_keys", {
  hash: text().primaryKey(),
  accountId: text("account_id")
    .notNull()
    .references(() => accounts.id, { onDelete: "cascade" }),
  hint: text().notNull(),
  createdAt: integer("created_at").notNull(),
  revokedAt: integer("revoked_at"),
});

/**
 * Uploaded models. `head` is the resource without its layers, which may be megabytes and lie in R2 beside it.
 * Lives until the caller deletes it.
 */
export const models = sqliteTable(
  "models",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    name: text(),
    sha256: text().notNull(),
    head: text({ mode: "json" }).$type<ModelHead>().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("models_by_account").on(t.accountId, t.id)],
);

export type ModelHead = Omit<ModelListItem, "id" | "object" | "name" | "sha256" | "created_at">;

/**
 * The objects that a model is made of: `path` is "" for the ONNX file itself, else the location that it names for
 * external data. A file lies in its object from `offset` on: of an archive that came whole, several files may be parts. Objects are
 * shared by content within an account; the last row that names one keeps it alive.
 */
export const modelFiles = sqliteTable(
  "model_files",
  {
    modelId: text("model_id")
      .notNull()
      .references(() => models.id, { onDelete: "cascade" }),
    path: text().notNull(),
    objectKey: text("object_key").notNull(),
    offset: integer().notNull().default(0),
    bytes: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.modelId, t.path] }), index("model_files_by_object").on(t.objectKey)],
);

/** Uploaded samples. Lives until the caller deletes it. */
export const calibrations = sqliteTable(
  "calibrations",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    name: text(),
    format: text().$type<CalibrationResource["format"]>().notNull(),
    bytes: integer().notNull(),
    sha256: text().notNull(),
    objectKey: text("object_key").notNull(),
    arrays: text({ mode: "json" }).$type<CalibrationResource["arrays"]>().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [
    index("calibrations_by_account").on(t.accountId, t.id),
    index("calibrations_by_object").on(t.objectKey),
  ],
);

/**
 * Jobs. The id is also the id of the Workflow instance. Lives until `expires_at` (30 days after the end), when the
 * sweep deletes row, events and objects, or until the caller deletes it.
 */
export const compressions = sqliteTable(
  "compressions",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    modelId: text("model_id").notNull(),
    calibrationId: text("calibration_id"),
    recipe: text({ mode: "json" }).$type<Recipe>().notNull(),
    mix: text({ mode: "json" }).$type<Mix>(),
    planOptions: text("plan_options", { mode: "json" }).$type<PlanOptions>().notNull(),
    metadata: text({ mode: "json" }).$type<Record<string, string>>().notNull(),
    status: text().$type<CompressionStatus>().notNull(),
    step: text(),
    progress: real().notNull().default(0),
    errorCode: text("error_code"),
    errorMessage: text("error_message"),
    artifactKey: text("artifact_key"),
    artifactBytes: integer("artifact_bytes"),
    artifactSha256: text("artifact_sha256"),
    reportKey: text("report_key"),
    planKey: text("plan_key"),
    webhookUrl: text("webhook_url"),
    webhookSecret: text("webhook_secret"),
    /** When the deliveries of its end were written; the sweep looks for ends that were never told. */
    notifiedAt: integer("notified_at"),
    /** When the sweep freed what late steps and consumers had written after the end; null until then. */
    freedAt: integer("freed_at"),
    createdAt: integer("created_at").notNull(),
    startedAt: integer("started_at"),
    finishedAt: integer("finished_at"),
    expiresAt: integer("expires_at"),
  },
  (t) => [
    index("compressions_by_account").on(t.accountId, t.id),
    index("compressions_by_status").on(t.status, t.createdAt),
    index("compressions_by_expiry").on(t.expiresAt),
    index("compressions_by_model").on(t.modelId),
    index("compressions_unfreed").on(t.finishedAt).where(sql`freed_at IS NULL`),
  ],
);

/**
 * What happened to a job, in order; `seq` is the event id of the stream. Example: {type: "progress", data: {step:
 * "compress", progress: 0.4}}. Lives as long as its job.
 */
export const compressionEvents = sqliteTable(
  "compression_events",
  {
    seq: integer().primaryKey({ autoIncrement: true }),
    compressionId: text("compression_id")
      .notNull()
      .references(() => compressions.id, { onDelete: "cascade" }),
    type: text().notNull(),
    status: text().$type<CompressionStatus>().notNull(),
    step: text(),
    progress: real().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("compression_events_by_compression").on(t.compressionId, t.seq)],
);

/** Addresses that hear of every job of the account. Lives until the caller deletes it. */
export const webhookEndpoints = sqliteTable(
  "webhook_endpoints",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    url: text().notNull(),
    description: text(),
    enabled: integer({ mode: "boolean" }).notNull(),
    secret: text().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("webhook_endpoints_by_account").on(t.accountId, t.id)],
);

/**
 * The outbox of webhooks: one row for an event and a receiver, written with the change that it tells of. `event_id`
 * is the webhook-id of every attempt and follows from job and type, so that writing it twice changes nothing.
 * `endpoint_id` is "" for the job's own webhook. Lives 30 days.
 */
export const deliveries = sqliteTable(
  "deliveries",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    eventId: text("event_id").notNull(),
    type: text().notNull(),
    compressionId: text("compression_id").notNull(),
    endpointId: text("endpoint_id").notNull(),
    url: text().notNull(),
    secret: text().notNull(),
    body: text().notNull(),
    status: text().$type<"pending" | "delivered" | "failed">().notNull(),
    attempts: integer().notNull().default(0),
    nextAttemptAt: integer("next_attempt_at"),
    responseStatus: integer("response_status"),
    lastError: text("last_error"),
    createdAt: integer("created_at").notNull(),
    deliveredAt: integer("delivered_at"),
  },
  (t) => [
    uniqueIndex("deliveries_once").on(t.eventId, t.endpointId),
    index("deliveries_due").on(t.status, t.nextAttemptAt),
    index("deliveries_by_endpoint").on(t.accountId, t.endpointId, t.id),
    index("deliveries_by_age").on(t.createdAt),
  ],
);

/**
 * Answers to requests with an Idempotency-Key. `status` null: still being worked on, until `locked_until`. Lives 24
 * hours.
 */
export const idempotencyKeys = sqliteTable(
  "idempotency_keys",
  {
    accountId: text("account_id").notNull(),
    key: text().notNull(),
    request: text().notNull(),
    bodySha256: text("body_sha256"),
    status: integer(),
    headers: text({ mode: "json" }).$type<Record<string, string>>(),
    body: text(),
    lockedUntil: integer("locked_until").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.key] }), index("idempotency_keys_by_expiry").on(t.expiresAt)],
);

/** Uploads in parts. Lives until it is completed or aborted, or 24 hours. */
export const uploads = sqliteTable(
  "uploads",
  {
    id: text().primaryKey(),
    accountId: text("account_id").notNull(),
    name: text(),
    bytes: integer().notNull(),
    partBytes: integer("part_bytes").notNull(),
    files: text({ mode: "json" }).$type<readonly UploadFile[]>().notNull().default([]),
    modelId: text("model_id"),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (t) => [index("uploads_by_expiry").on(t.expiresAt)],
);

/** A file of an upload, and the key under which its parts lie. */
export interface UploadFile {
  /** Relative to the folder of the model; null for an upload of a single file. */
  readonly path: string | null;
  readonly bytes: number;
  /** As the caller says it, in hex. */
  readonly sha256: string | null;
  readonly objectKey: string;
  /** Its parts among those of the whole upload. */
  readonly firstPart: number;
  readonly parts: number;
}

/** Parts that have arrived. */
export const uploadParts = sqliteTable(
  "upload_parts",
  {
    uploadId: text("upload_id")
      .notNull()
      .references(() => uploads.id, { onDelete: "cascade" }),
    number: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.uploadId, t.number] })],
);

/** How far a sweep over the objects has come; one row a sweep. Lives for ever. */
export const cursors = sqliteTable("cursors", {
  name: text().primaryKey(),
  cursor: text(),
});
