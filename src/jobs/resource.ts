import type { CompressionEvent, CompressionResource } from "../../schemas/resources.ts";
import type { CompressionRow, EventRow } from "../store/compressions.ts";

/** A job as it is sent, by the API and in webhooks; its webhook's secret is left out. */
export function compressionResource(row: CompressionRow): CompressionResource {
  return {
    id: row.id,
    object: "compression",
    model: row.modelId,
    calibration: row.calibrationId,
    recipe: row.recipe,
    mix: row.mix,
    plan: row.planOptions,
    status: row.status,
    step: row.step,
    progress: row.progress,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? "" },
    artifact:
      row.artifactKey === null || row.artifactBytes === null || row.artifactSha256 === null
        ? null
        : {
            url: `/v1/compressions/${row.id}/artifact`,
            bytes: row.artifactBytes,
            sha256: row.artifactSha256,
            format: artifactFormat(row.artifactKey),
          },
    webhook: row.webhookUrl === null ? null : { url: row.webhookUrl },
    metadata: row.metadata,
    created_at: timestamp(row.createdAt),
    started_at: timestampOrNull(row.startedAt),
    finished_at: timestampOrNull(row.finishedAt),
    expires_at: timestampOrNull(row.expiresAt),
  };
}

export function artifactFormat(key: string): "onnx" | "tar" {
  return key.endsWith(".tar") ? "tar" : "onnx";
}

export function eventResource(row: EventRow): CompressionEvent {
  return {
    id: row.seq,
    type: row.type as CompressionEvent["type"],
    status: row.status,
    step: row.step,
    progress: row.progress,
    created_at: timestamp(row.createdAt),
  };
}

/** ISO 8601 in UTC. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}

export function timestampOrNull(ms: number | null): string | null {
  return ms === null ? null : timestamp(ms);
}
