import type { WeightsDone } from "../jobs/job.ts";
import { bytes, duration } from "./table.ts";

/** A shorter look says nothing of what is to come. */
const LEAST_MS = 500;

/** How fast a stage works through its weights, and how long it has left at that. */
export class Pace {
  readonly #now: () => number;
  #total = -1;
  #began = 0;
  #before = 0;

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** " · 34 MB/s · 2 min left"; "" where nothing is known yet. Weights of another amount are another stage's. */
  after({ done, total }: WeightsDone): string {
    const now = this.#now();
    if (total !== this.#total) {
      [this.#total, this.#began, this.#before] = [total, now, done];
      return "";
    }
    const [elapsed, worked] = [now - this.#began, done - this.#before];
    if (elapsed < LEAST_MS || worked === 0) return "";
    const rate = worked / (elapsed / 1000);
    const left = done < total ? ` · ${duration((total - done) / rate)} left` : "";
    return ` · ${bytes(rate)}/s${left}`;
  }
}
