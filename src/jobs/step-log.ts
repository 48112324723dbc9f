import type { JobHost, Json } from "./job.ts";
import type { MemoryAccount } from "./memory-account.ts";

/** What a step cost, for the report. */
export type StepCost = {
  readonly name: string;
  readonly seconds: number;
  readonly bytes_read: number;
  readonly bytes_written: number;
  readonly peak_bytes: number;
};

/** Bytes that a job has read and written so far, and those that it holds. */
export interface Traffic {
  readonly read: number;
  readonly written: number;
  readonly memory: MemoryAccount;
}

/** Runs the named steps of one job and keeps what each of them cost, across restarts too. */
export class StepLog {
  readonly costs: StepCost[] = [];
  readonly #host: JobHost;
  readonly #traffic: Traffic;

  constructor(host: JobHost, traffic: Traffic) {
    this.#host = host;
    this.#traffic = traffic;
  }

  /** @param progress of the whole job when the step begins, 0 … 1 */
  async run<T extends Json>(name: string, progress: number, work: () => Promise<T>): Promise<T> {
    const done = await this.#host.step(name, async () => {
      await this.#host.report(name, progress);
      return costing(name, this.#host, this.#traffic, work);
    });
    this.add(done.cost);
    return done.value;
  }

  /** Takes in what was done elsewhere. */
  add(cost: StepCost): void {
    this.costs.push(cost);
  }
}

/** The value of some work, and what it cost. */
export async function costing<T>(
  name: string,
  host: Pick<JobHost, "now">,
  traffic: Traffic,
  work: () => Promise<T>,
): Promise<{ value: T; cost: StepCost }> {
  const { read, written, memory } = traffic;
  memory.takePeak();
  const start = await host.now();
  const value = await work();
  const cost = {
    name,
    seconds: Math.round((await host.now()) - start) / 1000,
    bytes_read: traffic.read - read,
    bytes_written: traffic.written - written,
    peak_bytes: memory.takePeak(),
  };
  return { value, cost };
}
