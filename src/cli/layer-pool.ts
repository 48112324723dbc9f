import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type Failure, JobFailure } from "../jobs/failures.ts";
import type { OnLayer } from "../jobs/layers-in-turn.ts";
import type { Place } from "./local-blobs.ts";
import { scriptFile } from "./script-file.ts";

/** What a thread is told when it starts. */
export interface ThreadStart {
  /** Folder of the job's blobs. */
  readonly folder: string;
  /** Inputs that are read where they lie. */
  readonly inputs: readonly Place[];
  readonly prefix: string;
}

/** What a thread says: that it waits for its first layer, that its last one is done, or why it could not be. */
export type ThreadMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly layer: number }
  | { readonly kind: "failed"; readonly failure: Failure | null; readonly error: unknown };

/** How many threads are worth their start. */
export function threadsFor(layers: number): number {
  return Math.min(layers, availableParallelism());
}

/**
 * Treats the layers in threads, each with kernels of its own; a free thread takes the next layer.
 * @throws JobFailure, or whatever else a thread could not cope with
 */
export async function treatInThreads(start: ThreadStart, layers: number, onDone: OnLayer): Promise<void> {
  const threads = Array.from(
    { length: threadsFor(layers) },
    () => new Worker(scriptFile("layer-thread"), { workerData: start }),
  );
  let next = 0;
  const work = threads.map(
    (thread) =>
      new Promise<void>((resolve, reject) => {
        thread.once("error", reject);
        thread.once("exit", (code) => reject(new Error(`a thread ended with ${code}`)));
        thread.on("message", (message: ThreadMessage) => {
          if (message.kind === "failed") {
            return reject(message.failure ? new JobFailure(message.failure) : message.error);
          }
          if (message.kind === "done") void onDone(message.layer);
          if (next === layers) resolve();
          else thread.postMessage(next++);
        });
      }),
  );
  try {
    await Promise.all(work);
  } finally {
    // Those that a failure leaves without a listener end as well, which is no failure of its own.
    for (const one of work) one.catch(() => undefined);
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}
