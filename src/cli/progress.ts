/** Shows how far the work is, on stderr so that stdout stays for results. */
export interface Progress {
  update(step: string, progress: number): void;
  /** Takes the line away, so that what follows starts on a clean one. */
  done(): void;
}

const WIDTH = 24;

/** A bar that is redrawn on a terminal; elsewhere one line whenever the step changes. */
export function progressOn(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? bar(stream) : lines(stream);
}

export const silent: Progress = { update() {}, done() {} };

function bar(stream: NodeJS.WriteStream): Progress {
  let drawn = "";
  return {
    update(step, progress) {
      const filled = Math.round(clamp(progress) * WIDTH);
      const line = `${"█".repeat(filled)}${"░".repeat(WIDTH - filled)} ${percent(progress)} ${step}`;
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

function lines(stream: NodeJS.WriteStream): Progress {
  let last = "";
  return {
    update(step, progress) {
      // "compress 3/40" and "compress 4/40" are the same step.
      const name = step.replace(/\s*\d.*$/, "");
      if (name === last) return;
      last = name;
      stream.write(`${percent(progress)} ${step}\n`);
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
