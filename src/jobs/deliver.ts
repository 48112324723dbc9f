import { Webhook } from "standardwebhooks";
import type { Bindings } from "../store/bindings.ts";
import type { Store } from "../store/store.ts";
import type { AttemptOutcome, DeliveryRow } from "../store/webhooks.ts";
import { nextAttempt } from "./retry-schedule.ts";
import { refusedTarget } from "./webhook-target.ts";

/** Longer than an answer may take, so that a delivery whose isolate died is tried again, but not while it runs. */
const CLAIM_MS = 60_000;
const TIMEOUT_MS = 15_000;
/** The longest delay of a queue message; the sweep takes care of later attempts. */
const MAX_DELAY_S = 43_200;

/** What an attempt needs of its surroundings. */
export interface DeliveryHost {
  readonly fetch: typeof fetch;
  readonly queue: Bindings["DELIVERIES"];
  readonly allowLoopback: boolean;
  now(): number;
  random(): number;
}

/** Makes one attempt, if one is due, and arranges the next where it fails. */
export async function deliver(store: Store, host: DeliveryHost, id: string): Promise<void> {
  const now = host.now();
  const delivery = await store.deliveries.claim(id, now, now + CLAIM_MS);
  if (!delivery) return;
  const outcome = await attempt(delivery, host);
  await store.deliveries.record(delivery, outcome, host.now());
  if (outcome.status === "failed" && outcome.responseStatus === 410 && delivery.endpointId !== "") {
    await store.endpoints.update(delivery.accountId, delivery.endpointId, { enabled: false });
  }
  if (outcome.status === "pending" && outcome.nextAttemptAt !== null) {
    const delaySeconds = Math.max(0, Math.ceil((outcome.nextAttemptAt - host.now()) / 1000));
    if (delaySeconds <= MAX_DELAY_S) await host.queue.send({ delivery: id }, { delaySeconds });
  }
}

async function attempt(delivery: DeliveryRow, host: DeliveryHost): Promise<AttemptOutcome> {
  const refused = refusedTarget(delivery.url, { allowLoopback: host.allowLoopback });
  if (refused) return { status: "failed", responseStatus: null, error: refused, nextAttemptAt: null };
  let response: Response;
  try {
    response = await host.fetch(delivery.url, {
      method: "POST",
      redirect: "manual",
      headers: signedHeaders(delivery, host.now()),
      body: delivery.body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
  } catch (error) {
    return failedAttempt(delivery, host, null, error instanceof Error ? error.message : String(error), null);
  }
  if (response.ok) return { status: "delivered", responseStatus: response.status };
  if (response.status === 410) {
    return {
      status: "failed",
      responseStatus: 410,
      error: "the receiver answered 410: it wants no more webhooks",
      nextAttemptAt: null,
    };
  }
  const retryAfter = response.headers.get("retry-after");
  return failedAttempt(
    delivery,
    host,
    response.status,
    `the receiver answered ${response.status}`,
    retryAfter,
  );
}

function failedAttempt(
  delivery: DeliveryRow,
  host: DeliveryHost,
  responseStatus: number | null,
  error: string,
  retryAfter: string | null,
): AttemptOutcome {
  const nextAttemptAt = nextAttempt(delivery.attempts + 1, retryAfter, host.now(), host.random());
  return {
    status: nextAttemptAt === null ? "failed" : "pending",
    responseStatus,
    error: error.slice(0, 500),
    nextAttemptAt,
  };
}

/** Standard Webhooks: the id stays over all attempts, the time is that of this one. */
function signedHeaders(delivery: DeliveryRow, now: number): Record<string, string> {
  const time = new Date(now);
  return {
    "content-type": "application/json",
    "user-agent": "Hone-Webhooks/1",
    "webhook-id": delivery.eventId,
    "webhook-timestamp": String(Math.floor(now / 1000)),
    "webhook-signature": new Webhook(delivery.secret).sign(delivery.eventId, time, delivery.body),
  };
}
