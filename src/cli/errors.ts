import { ApiError } from "../client/errors.ts";
import type { Failure } from "../jobs/failures.ts";

/** The command line itself is wrong, or a file given with it (recipe, mix): exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The work could not be done, for a reason the user can act on: exit code 1. */
export class FailedError extends Error {
  override name = "FailedError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a script reads when `--json` was asked for and the work failed. */
export interface ErrorJson {
  readonly error: { readonly code: string; readonly message: string };
}

/** One line for people; stack traces only where HONE_DEBUG asks for them. */
export async function describe(error: unknown): Promise<{ code: string; line: string; exitCode: 1 | 2 }> {
  if (error instanceof UsageError) return { code: "usage", line: oneLine(error.message), exitCode: 2 };
  // Loaded late, because it knows the errors of the whole engine.
  const { failureOf } = await import("../jobs/failures.ts");
  const failure = failureOf(error) ?? answered(error);
  if (failure) {
    // A pointer leads into the recipe or the mix, which the command line gave.
    return { code: failure.code, line: oneLine(failure.message), exitCode: failure.pointer ? 2 : 1 };
  }
  if (!(error instanceof Error)) return { code: "error", line: oneLine(String(error)), exitCode: 1 };
  const own = "code" in error && typeof error.code === "string" ? error.code : null;
  const unexpected = error instanceof TypeError || error instanceof ReferenceError;
  const line = oneLine(error.message || error.name);
  return {
    code: own ?? (error.name === "Error" || unexpected ? "error" : snake(error.name)),
    line: unexpected ? `internal error: ${line} (set HONE_DEBUG=1 for the stack)` : line,
    exitCode: 1,
  };
}

/** What a server said of a request. */
function answered(error: unknown): Failure | null {
  if (!(error instanceof ApiError)) return null;
  const code = error.problem?.type.split(/[/:#]/).at(-1) ?? `http_${error.status}`;
  return { code, message: error.message, pointer: error.problem?.errors?.[0]?.pointer };
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, "; ").trim();
}

function snake(name: string): string {
  return name
    .replace(/Error$/, "")
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_")
    .toLowerCase();
}
