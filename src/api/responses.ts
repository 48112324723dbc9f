import type { z } from "@hono/zod-openapi";
import { Problem } from "../../schemas/resources.ts";

/** Answer of one JSON schema, for the OpenAPI document. */
export function json<T extends z.ZodType>(description: string, schema: T) {
  return { description, content: { "application/json": { schema } } };
}

/** JSON body of a request. */
export function jsonRequest<T extends z.ZodType>(schema: T) {
  return { required: true, content: { "application/json": { schema } } };
}

/** What every operation may answer. */
export const problems = {
  default: {
    description: "Problem details (RFC 9457); `code` says what, `errors` points at the fields.",
    content: { "application/problem+json": { schema: Problem } },
  },
} as const;

export const bearer: { bearer: string[] }[] = [{ bearer: [] }];
