import { OpenAPIHono } from "@hono/zod-openapi";
import type { z } from "zod";
import type { AppEnv } from "./context.ts";
import { type FieldError, ProblemError } from "./problem.ts";

const MAX_ERRORS = 20;

/** A router whose validation failures are problem details. */
export function newRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      // A path whose id has not even the form of one leads nowhere.
      if (result.target === "param") throw new ProblemError("not_found", "There is no such resource.");
      throw invalid(
        result.error.issues,
        result.target === "json" || result.target === "form" ? "body" : "query",
      );
    },
  });
}

/** Parses a value by its schema. @throws ProblemError that points at each wrong field. */
export function parsed<T extends z.ZodType>(schema: T, value: unknown, where: "body" | "query"): z.infer<T> {
  const result = schema.safeParse(value);
  if (!result.success) throw invalid(result.error.issues, where);
  return result.data;
}

function invalid(issues: readonly z.core.$ZodIssue[], where: "body" | "query"): ProblemError {
  const errors = issues.flatMap((issue) => fieldErrors(issue, [])).slice(0, MAX_ERRORS);
  const detail = errors.map(({ pointer, detail }) => `${pointer || "/"}: ${detail}`).join("; ");
  return new ProblemError(where === "body" ? "invalid_request" : "invalid_query", detail.slice(0, 2000), {
    errors,
  });
}

function fieldErrors(issue: z.core.$ZodIssue, parent: readonly PropertyKey[]): FieldError[] {
  const path = [...parent, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ pointer: pointer([...path, key]), detail: "unknown field" }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    // The alternative that went furthest is the one that was meant.
    const closest = issue.errors.reduce((best, branch) => (depth(branch) > depth(best) ? branch : best));
    if (closest.length > 0) return closest.flatMap((inner) => fieldErrors(inner, path));
  }
  return [{ pointer: pointer(path), detail: issue.message }];
}

function depth(branch: readonly z.core.$ZodIssue[]): number {
  return Math.max(
    0,
    ...branch.map((issue) => issue.path.length + (issue.code === "unrecognized_keys" ? 1 : 0)),
  );
}

/** RFC 6901. */
function pointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
