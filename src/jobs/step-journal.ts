import type { Objects } from "../store/objects.ts";

/**
 * What the steps of a job have come to, an object a step. A Workflow that is started over, as the local runtime does after a restart,
 * finds here what it has done before. A step's own objects are in place before its entry is.
 */
export class StepJournal {
  readonly #objects: Objects;
  readonly #prefix: string;

  /** @param prefix of the job */
  constructor(objects: Objects, prefix: string) {
    this.#objects = objects;
    this.#prefix = `${prefix}steps/`;
  }

  async find(step: string): Promise<string | null> {
    return this.#objects.find(this.#prefix + step);
  }

  async record(step: string, outcome: string): Promise<void> {
    await this.#objects.putBytes(this.#prefix + step, outcome);
  }
}
