import type { Context } from "hono";
import type { CompressionRow } from "../store/compressions.ts";
import type { AppEnv } from "./context.ts";

const MAX_WAIT_S = 60;
const FIRST_LOOK_MS = 100;
const LONGEST_LOOK_MS = 1000;

/** Seconds that `Prefer: wait=N` (RFC 7240) asks for, at most 60; 0 where it does not. */
export function preferredWait(c: Context<AppEnv>): number {
  const match = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?/i.exec(c.req.header("prefer") ?? "");
  return match ? Math.min(Number(match[1]), MAX_WAIT_S) : 0;
}

/** Looks at a job until it has ended or the seconds are over. */
export async function waitForEnd(
  c: Context<AppEnv>,
  id: string,
  seconds: number,
): Promise<CompressionRow | undefined> {
  const deadline = Date.now() + 1000 * seconds;
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(1.5 * pause, LONGEST_LOOK_MS)) {
    const row = await c.var.store.compressions.get(c.var.account, id);
    const left = deadline - Date.now();
    if (!row || row.finishedAt !== null || left <= 0) return row;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
  }
}
