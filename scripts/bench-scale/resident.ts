import { readdir, readFile } from "node:fs/promises";

const KIB = 1024;
const EVERY_MS = 100;

/** Watches the resident memory of some processes while something runs. */
export class Resident {
  #peak = 0;
  readonly #pids: () => Promise<readonly number[]>;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param pids which processes there are now */
  constructor(pids: () => Promise<readonly number[]>) {
    this.#pids = pids;
    this.#timer = setInterval(() => void this.#look(), EVERY_MS);
  }

  /** Bytes of all of them now. */
  async now(): Promise<number> {
    let sum = 0;
    for (const pid of await this.#pids()) sum += await residentBytes(pid);
    return sum;
  }

  /** The most that was seen so far, bytes. */
  get most(): number {
    return this.#peak;
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.#peak;
  }

  async #look(): Promise<void> {
    this.#peak = Math.max(this.#peak, await this.now());
  }
}

/** Processes below one of this name, however far. */
export async function descendants(root: number, name: string): Promise<number[]> {
  const parents = new Map<number, { parent: number; name: string }>();
  for (const entry of await readdir("/proc")) {
    const stat = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "") : "";
    const found = /^(\d+) \((.*)\) \S (\d+)/.exec(stat);
    if (found) parents.set(Number(found[1]), { name: found[2]!, parent: Number(found[3]) });
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid)?.parent;
    return parent !== undefined && (parent === root || isBelow(parent));
  };
  return [...parents].filter(([pid, one]) => one.name === name && isBelow(pid)).map(([pid]) => pid);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * KIB;
}
