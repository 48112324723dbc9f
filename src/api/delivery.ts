import type { DeliveryResource } from "../../schemas/resources.ts";
import { timestamp, timestampOrNull } from "../jobs/resource.ts";
import type { DeliveryRow } from "../store/webhooks.ts";

export function deliveryResource(row: DeliveryRow): DeliveryResource {
  return {
    id: row.id,
    object: "delivery",
    event_id: row.eventId,
    type: row.type,
    compression: row.compressionId,
    url: row.url,
    status: row.status,
    attempts: row.attempts,
    next_attempt_at: timestampOrNull(row.nextAttemptAt),
    response_status: row.responseStatus,
    last_error: row.lastError,
    created_at: timestamp(row.createdAt),
    delivered_at: timestampOrNull(row.deliveredAt),
  };
}
