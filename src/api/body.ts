import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { incomingKey } from "../store/object-keys.ts";
import type { Written } from "../store/objects.ts";
import type { AppEnv } from "./context.ts";
import { ProblemError } from "./problem.ts";

/** Cloudflare's own limit for a request body on its common plans. */
const MAX_BODY_BYTES = 100_000_000;
const MAX_JSON_BYTES = 1_000_000;

export function maxBodyBytes(c: Context<AppEnv>): number {
  return Number(c.env.MAX_BODY_BYTES ?? MAX_BODY_BYTES);
}

/** The media type without its parameters, or "" where none is sent. */
export function mediaType(c: Context<AppEnv>): string {
  return (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/** @throws ProblemError 415 unless the media type is one of these. */
export function requireMediaType(c: Context<AppEnv>, types: readonly string[]): string {
  const type = mediaType(c);
  if (types.includes(type)) return type;
  const sent = type === "" ? "No Content-Type was sent" : `The Content-Type ${type} is not supported`;
  throw new ProblemError("unsupported_media_type", `${sent} here; send one of ${types.join(", ")}.`);
}

/** Checks that the body is JSON of a sane size before it is parsed. */
export const jsonBody = createMiddleware<AppEnv>(async (c, next) => {
  requireMediaType(c, ["application/json"]);
  checkLength(c, MAX_JSON_BYTES);
  const text = new TextDecoder().decode(await limitedBytes(c.req.raw.body, MAX_JSON_BYTES));
  try {
    JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ProblemError("malformed_body", `The body is not JSON: ${reason}`);
  }
  c.req.raw = new Request(c.req.raw, { body: text });
  await next();
});

/** @throws ProblemError 413 when the declared length is over the limit. */
export function checkLength(c: Context<AppEnv>, limit: number): void {
  if (Number(c.req.header("content-length") ?? 0) > limit) throw tooLarge(limit);
}

function tooLarge(limit: number): ProblemError {
  return new ProblemError(
    "too_large",
    `The body is longer than ${limit} bytes. Models of any size can be sent in parts: POST /v1/uploads.`,
  );
}

/** A body in memory. @throws ProblemError 413 over the limit. */
export async function limitedBytes(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (body) {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** A body that has arrived in the bucket, under a key that is nobody's yet. */
export interface Incoming extends Written {
  readonly key: string;
}

/**
 * Streams a body into the bucket, hands it to `use` and deletes it afterwards, whatever becomes of it: what is kept
 * has been stored under its own key by then.
 */
export async function withIncoming<T>(
  c: Context<AppEnv>,
  body: ReadableStream<Uint8Array> | null,
  use: (incoming: Incoming) => Promise<T>,
): Promise<T> {
  const limit = maxBodyBytes(c);
  checkLength(c, limit);
  const { objects } = c.var.store;
  const key = incomingKey(c.var.account, crypto.randomUUID());
  try {
    const written = await objects.write(key, body ?? emptyStream(), {
      bytes: limit,
      error: () => tooLarge(limit),
    });
    return await use({ key, ...written });
  } finally {
    await objects.delete(key);
  }
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
