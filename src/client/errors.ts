import type { Problem } from "../../schemas/resources.ts";

/**
 * Base of every error that the SDK throws. `problem` is the server's RFC 9457 answer where there was one,
 * `requestId` names the request in the server's log.
 */
export class HoneError extends Error {
  override name = "HoneError";
}

/** The server answered, with a status that is not a success. */
export class ApiError extends HoneError {
  override name = "ApiError";
  readonly status: number;
  readonly problem: Problem | null;
  readonly requestId: string | null;

  constructor(status: number, problem: Problem | null, requestId: string | null) {
    super(messageOf(status, problem));
    this.status = status;
    this.problem = problem;
    this.requestId = requestId;
  }
}

/** 401 or 403: no key, a wrong key, or a key without the right. */
export class AuthenticationError extends ApiError {
  override name = "AuthenticationError";
}

/** 404: no such resource in the caller's account. */
export class NotFoundError extends ApiError {
  override name = "NotFoundError";
}

/** 409: the resource is in another state, or the same idempotency key is still being worked on. */
export class ConflictError extends ApiError {
  override name = "ConflictError";
}

/** 400, 413, 415, 422 and the other 4xx: the request or the file in it; `problem.errors` points at the fields. */
export class ValidationError extends ApiError {
  override name = "ValidationError";
}

/** 429, after all retries. */
export class RateLimitError extends ApiError {
  override name = "RateLimitError";
}

/** 5xx, after all retries. */
export class ServerError extends ApiError {
  override name = "ServerError";
}

/** No answer: the connection failed or broke, after all retries. `cause` is the platform's error. */
export class ConnectionError extends HoneError {
  override name = "ConnectionError";
}

/** No answer within `timeout`, or a job not finished within the deadline of `wait`. */
export class TimeoutError extends HoneError {
  override name = "TimeoutError";
}

/** The server answered something that is not what its contract says. */
export class ProtocolError extends HoneError {
  override name = "ProtocolError";
}

/** Builds the error class that belongs to a status. Reads the body. */
export async function apiError(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id") ?? response.headers.get("cf-ray");
  const problem = await problemOf(response);
  return new (errorClass(response.status))(response.status, problem, requestId);
}

function errorClass(status: number): typeof ApiError {
  if (status === 401 || status === 403) return AuthenticationError;
  if (status === 404) return NotFoundError;
  if (status === 409) return ConflictError;
  if (status === 429) return RateLimitError;
  if (status >= 500) return ServerError;
  if (status >= 400) return ValidationError;
  return ApiError;
}

async function problemOf(response: Response): Promise<Problem | null> {
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text().catch(() => "");
  if (!type.includes("json")) return null;
  try {
    const body: unknown = JSON.parse(text);
    return isProblem(body) ? body : null;
  } catch {
    return null;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "title" in body && "detail" in body;
}

function messageOf(status: number, problem: Problem | null): string {
  if (!problem) return `the server answered ${status}`;
  const fields = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer}: ${detail}`);
  const detail = problem.detail || problem.title;
  return fields.length > 0 ? `${detail} (${fields.join("; ")})` : detail;
}
