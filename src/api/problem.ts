import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Problem } from "../../schemas/resources.ts";
import { failureOf } from "../jobs/failures.ts";
import { BlobMissingError } from "../store/objects.ts";

/** Every way in which a request can fail, but those that lie in the caller's file: see FILE_PROBLEMS. */
const PROBLEMS = {
  malformed_body: { status: 400, title: "The body is not what its content type says" },
  invalid_request: { status: 422, title: "The request has invalid fields" },
  invalid_query: { status: 400, title: "The query has invalid parameters" },
  unauthenticated: { status: 401, title: "A valid API key is needed" },
  not_found: { status: 404, title: "There is no such resource" },
  method_not_allowed: { status: 405, title: "The resource has no such method" },
  not_acceptable: { status: 406, title: "The resource has no such representation" },
  conflict: { status: 409, title: "The resource is in another state" },
  idempotency_in_flight: { status: 409, title: "A request with this Idempotency-Key is being worked on" },
  idempotency_mismatch: { status: 422, title: "The Idempotency-Key was used for another request" },
  too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The content type is not supported" },
  range_not_satisfiable: { status: 416, title: "The range lies outside the object" },
  unknown_reference: { status: 422, title: "The request names something that does not exist" },
  webhook_target_refused: { status: 422, title: "Webhooks cannot be sent to this address" },
  checksum_mismatch: { status: 422, title: "The bytes are not those that were announced" },
  internal_error: { status: 500, title: "Something went wrong on our side" },
} as const satisfies Record<string, { status: ContentfulStatusCode; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Codes of failures in the caller's file that are about its size; every other one is 422. */
const TOO_LARGE = new Set([
  "model_too_many_items",
  "model_skeleton_too_large",
  "model_too_large_to_write",
  "model_archive_too_large",
  "samples_too_large",
]);

export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** Thrown by handlers and middleware; answered as problem details. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly code: ProblemCode;
  readonly errors: readonly FieldError[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    options: { errors?: readonly FieldError[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.code = code;
    this.errors = options.errors ?? [];
    this.headers = options.headers ?? {};
  }
}

export function notFound(what: string, id: string): ProblemError {
  return new ProblemError("not_found", `There is no ${what} ${id} in this account.`);
}

/** The one mapping from whatever was thrown to what is answered. */
export function problemOf(
  error: unknown,
  request: { path: string; id: string },
): { problem: Problem; headers: Readonly<Record<string, string>> } {
  const known = error instanceof BlobMissingError ? expired() : error;
  if (known instanceof ProblemError) {
    const { status, title } = PROBLEMS[known.code];
    const errors = known.errors.length > 0 ? { errors: [...known.errors] } : {};
    const problem = problemDetails(known.code, title, status, known.message, request);
    return { problem: { ...problem, ...errors }, headers: known.headers };
  }
  const failure = failureOf(error);
  if (failure) {
    const { status, title } = TOO_LARGE.has(failure.code)
      ? { status: 413, title: "The file is too large" }
      : {
          status: 422,
          title: failure.pointer === undefined ? "The file cannot be used" : "The request has invalid fields",
        };
    const errors =
      failure.pointer === undefined
        ? {}
        : { errors: [{ pointer: failure.pointer, detail: failure.message }] };
    const problem = problemDetails(failure.code, title, status, failure.message, request);
    return { problem: { ...problem, ...errors }, headers: {} };
  }
  const { status, title } = PROBLEMS.internal_error;
  const detail = "The request could not be completed. Try again; if it fails again, tell us its request id.";
  return { problem: problemDetails("internal_error", title, status, detail, request), headers: {} };
}

function problemDetails(
  code: string,
  title: string,
  status: number,
  detail: string,
  request: { path: string; id: string },
): Problem {
  return {
    type: `urn:hone:problem:${code}`,
    title,
    status,
    detail,
    instance: request.path,
    code,
    request_id: request.id,
  };
}

function expired(): ProblemError {
  return new ProblemError("not_found", "The object has expired or was deleted.");
}
