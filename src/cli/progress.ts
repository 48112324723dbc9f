import type { WeightsDone } from "../jobs/job.ts";
import { Pace } from "./pace.ts";

/** Shows how far the work is, on stderr so that stdout stays for results. */
export interface Progress {
  update(step: string, progress: number, weights?: WeightsDone): void;
  /** Takes the line away, so that what follows starts on a clean one. */
  done(): void;
}

const WIDTH = 24;

/** What a bar or a log is drawn on. */
export type Screen = Pick<NodeJS.WriteStream, "isTTY" | "columns" | "write">;

/** Milliseconds after which a log that nobody can redraw tells of the same step once more. */
const LOG_EVERY_MS = 30_000;

/**
 * A bar that is redrawn on a terminal; elsewhere one line whenever the step changes, and now and then while it does not.
 * @param now milliseconds
 */
export function progressOn(stream: Screen, now: () => number = () => performance.now()): Progress {
  return stream.isTTY ? bar(stream, now) : lines(stream, now);
}

export const silent: Progress = { update() {}, done() {} };

function bar(stream: Screen, now: () => number): Progress {
  const pace = new Pace(now);
  let drawn = "";
  return {
    update(step, progress, weights) {
      const filled = Math.round(clamp(progress) * WIDTH);
      const line = `${"█".repeat(filled)}${"░".repeat(WIDTH - filled)} ${percent(progress)} ${step}${weights ? pace.after(weights) : ""}`;
      const text = line.slice(0, Math.max(10, (stream.columns ?? 80) - 1));
      if (text === drawn) return;
      drawn = text;
      stream.write(`\r\x1b[2K${text}`);
    },
    done() {
      if (drawn) stream.write("\r\x1b[2K");
      drawn = "";
    },
  };
}

function lines(stream: Screen, now: () => number): Progress {
  const pace = new Pace(now);
  let last = "";
  let told = 0;
  return {
    update(step, progress, weights) {
      const rate = weights ? pace.after(weights) : "";
      // "treat 3 of 40" and "treat 4 of 40" are the same step.
      const name = step.replace(/\s*\d.*$/, "");
      if (name === last && now() - told < LOG_EVERY_MS) return;
      last = name;
      told = now();
      stream.write(`${percent(progress)} ${step}${rate}\n`);
    },
    done() {},
  };
}

function percent(progress: number): string {
  return `${Math.floor(clamp(progress) * 100)}%`.padStart(4);
}

function clamp(progress: number): number {
  return Math.min(1, Math.max(0, progress));
}
