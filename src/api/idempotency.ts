import { createHash } from "node:crypto";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { IdempotencyRow } from "../store/idempotency.ts";
import type { AppEnv } from "./context.ts";
import { ProblemError } from "./problem.ts";

const LOCK_MS = 5 * 60_000;
const LIFETIME_MS = 24 * 3_600_000;
const MAX_KEY = 255;
/** D1 stores rows of up to 2 MB; longer answers are read again from where they lie. */
const MAX_STORED = 500_000;
const KEPT_HEADERS = ["content-type", "location", "content-location", "preference-applied"];

/**
 * POST with an Idempotency-Key is done once: the same key with the same request replays the answer, with another one it
 * is 422, and 409 while the first is being worked on. Only successes are kept, so a request that failed may be corrected
 * and sent again. The body is hashed as the handler reads it; nothing is held in memory for this.
 * @param again answers a GET of the same application, for answers too long to be stored
 */
export function idempotency(again: (request: Request, c: Context<AppEnv>) => Promise<Response>) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const key = c.req.header("idempotency-key");
    if (c.req.method !== "POST" || key === undefined) return next();
    if (key.length === 0 || key.length > MAX_KEY || !/^[\x20-\x7e]+$/.test(key)) {
      throw new ProblemError(
        "malformed_body",
        `Idempotency-Key has 1 to ${MAX_KEY} printable ASCII characters.`,
      );
    }
    const { store, account } = c.var;
    const now = Date.now();
    const { pathname, search } = new URL(c.req.url);
    const request = `${pathname}${search} ${c.req.header("content-type") ?? ""}`;
    const times = { now, lockedUntil: now + LOCK_MS, expiresAt: now + LIFETIME_MS };
    const held = await store.idempotency.take(account, key, request, times);
    if (held) return replay(c, held, request, again);
    const body = hashingBody(c);
    try {
      await next();
    } catch (error) {
      await store.idempotency.release(account, key);
      throw error;
    }
    const bodySha256 = body();
    if (!c.res.ok || c.error || bodySha256 === null) {
      await store.idempotency.release(account, key);
      return;
    }
    await store.idempotency.store(account, key, { bodySha256, ...(await storable(c)) });
  });
}

async function replay(
  c: Context<AppEnv>,
  held: IdempotencyRow,
  request: string,
  again: (request: Request, c: Context<AppEnv>) => Promise<Response>,
): Promise<Response> {
  if (held.request !== request) throw mismatch();
  if (held.status === null) {
    throw new ProblemError(
      "idempotency_in_flight",
      "The first request has not been answered yet. Try again later.",
      {
        headers: { "Retry-After": "1" },
      },
    );
  }
  const hash = createHash("sha256");
  if (c.req.raw.body) for await (const chunk of c.req.raw.body) hash.update(chunk);
  if (hash.digest("hex") !== held.bodySha256) throw mismatch();
  const headers = new Headers({ ...held.headers, "idempotency-replayed": "true" });
  if (held.body !== null) return new Response(held.body, { status: held.status, headers });
  const where = headers.get("content-location") ?? headers.get("location") ?? "/";
  const authorization = c.req.header("authorization") ?? "";
  const answer = await again(new Request(new URL(where, c.req.url), { headers: { authorization } }), c);
  return answer.ok ? new Response(answer.body, { status: held.status, headers }) : answer;
}

function mismatch(): ProblemError {
  return new ProblemError(
    "idempotency_mismatch",
    "This Idempotency-Key came with another request within the last 24 hours. Use a new key for a new request.",
  );
}

/** Hashes the body on its way to the handler. @returns the digest so far; null until the body has been read whole. */
function hashingBody(c: Context<AppEnv>): () => string | null {
  const { raw } = c.req;
  const hash = createHash("sha256");
  if (!raw.body) return () => hash.digest("hex");
  let whole = false;
  const hashing = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      hash.update(chunk);
      controller.enqueue(chunk);
    },
    flush() {
      whole = true;
    },
  });
  c.req.raw = new Request(raw, { body: raw.body.pipeThrough(hashing) });
  return () => (whole ? hash.digest("hex") : null);
}

async function storable(c: Context<AppEnv>) {
  const headers: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = c.res.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const isJson = c.res.headers.get("content-type")?.includes("json") ?? false;
  const text = isJson ? await c.res.clone().text() : null;
  return { status: c.res.status, headers, body: text !== null && text.length <= MAX_STORED ? text : null };
}
