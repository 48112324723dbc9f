import type { WebhookEvent } from "../../schemas/resources.ts";
import type { Bindings } from "../store/bindings.ts";
import type { CompressionRow } from "../store/compressions.ts";
import { derivedId } from "../store/ids.ts";
import type { Store } from "../store/store.ts";
import type { DeliveryRow } from "../store/webhooks.ts";
import { compressionResource, timestamp } from "./resource.ts";

/** Standard Webhooks asks for payloads under 20 kB. */
const MAX_BODY_BYTES = 20_000;

/**
 * Tells of the end of a job: one delivery for the job's own webhook and one for every endpoint of the account. May
 * run any number of times; ids follow from the job, so each receiver gets the event once.
 */
export async function notify(store: Store, queue: Bindings["DELIVERIES"], job: CompressionRow, now: number) {
  const rows = deliveriesOf(job, await store.endpoints.enabled(job.accountId), now);
  await store.deliveries.tell(job.id, rows, now);
  // The rows are due by themselves; the messages only save the wait for the next sweep.
  for (const { id } of rows) await queue.send({ delivery: id });
}

function deliveriesOf(
  job: CompressionRow,
  endpoints: readonly { id: string; url: string; secret: string }[],
  now: number,
): DeliveryRow[] {
  const receivers = [...endpoints];
  if (job.webhookUrl !== null && job.webhookSecret !== null) {
    receivers.push({ id: "", url: job.webhookUrl, secret: job.webhookSecret });
  }
  const finishedAt = job.finishedAt ?? now;
  const type = `compression.${job.status}` as WebhookEvent["type"];
  const eventId = derivedId("evt", finishedAt, job.id, type);
  const body = eventBody(type, finishedAt, job);
  return receivers.map(({ id, url, secret }) => ({
    id: derivedId("dlv", finishedAt, eventId, id),
    accountId: job.accountId,
    eventId,
    type,
    compressionId: job.id,
    endpointId: id,
    url,
    secret,
    body,
    status: "pending",
    attempts: 0,
    nextAttemptAt: now,
    responseStatus: null,
    lastError: null,
    createdAt: now,
    deliveredAt: null,
  }));
}

/** The body of every attempt. Recipe and mix, which may be long, are left out where they make it too long. */
function eventBody(type: WebhookEvent["type"], finishedAt: number, job: CompressionRow): string {
  const event: WebhookEvent = { type, timestamp: timestamp(finishedAt), data: compressionResource(job) };
  const body = JSON.stringify(event);
  if (new TextEncoder().encode(body).byteLength <= MAX_BODY_BYTES) return body;
  const { recipe: _recipe, mix: _mix, ...data } = event.data;
  return JSON.stringify({ ...event, data });
}
