import type { JobHost, Json } from "./job.ts";

/** What a step cost, for the report. */
export interface StepCost {
  readonly name: string;
  readonly seconds: number;
  readonly bytes_read: number;
  readonly bytes_written: number;
}

/** Bytes that a job has read and written so far. */
interface Traffic {
  readonly read: number;
  readonly written: number;
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
      const { read, written } = this.#traffic;
      const start = await this.#host.now();
      const value = await work();
      const cost = {
        name,
        seconds: Math.round((await this.#host.now()) - start) / 1000,
        bytes_read: this.#traffic.read - read,
        bytes_written: this.#traffic.written - written,
      };
      return { value, cost };
    });
    this.costs.push(done.cost);
    return done.value;
  }
}
