import type { WorkflowStep, WorkflowStepConfig } from "cloudflare:workers";
import type { Kernels } from "../kernels/kernels.ts";
import { workerdKernels } from "../kernels/wasm/workerd.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { workerdRuntime } from "../runtime/workerd.ts";
import { workerdNow } from "../runtime/workerd-clock.ts";
import type { Bindings } from "../store/bindings.ts";
import type { Objects } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { type Failure, failureOf, JobEndedError, JobFailure } from "./failures.ts";
import type { JobHost, Json, LayerWork } from "./job.ts";
import { giveOutLayers, LAYERS_DONE, type LayersLeft } from "./layer-queue.ts";
import { StepJournal } from "./step-journal.ts";
import { WasmHomes } from "./wasm-homes.ts";

/** For what may pass: a lost isolate, D1 or R2 out of reach. */
export const DURABLE: WorkflowStepConfig = {
  retries: { limit: 4, delay: "1 second", backoff: "exponential" },
  timeout: "30 minutes",
};

/** Smallest change of progress that is written. */
const PROGRESS_STEP = 0.01;

/**
 * Of the 128 MB of an isolate, for a model that runs whole: most, so that small ones are timed as they run. Segments take the half; the rest
 * is for the code, the samples and what a step works on.
 */
const MEMORY = { whole: 96 * 2 ** 20, segments: 32 * 2 ** 20 };

const PATIENCE_S = 300;
/** Time without a single new layer, whatever was sent for, after which the job is given up. */
const MOST_IDLE_MS = 3_600_000;

/** A job's host in the Worker: steps of a Workflow, R2 objects, progress in D1, layers by way of a queue. */
export class WorkerHost implements JobHost {
  readonly blobs: Objects;
  readonly memory = MEMORY;
  private readonly homes = new WasmHomes(workerdRuntime, workerdKernels);
  private readonly workflow: WorkflowStep;
  private readonly store: Store;
  private readonly bindings: Bindings;
  private readonly compression: string;
  private readonly journal: StepJournal;
  private reported = { step: "", progress: -1 };

  /** @param job its id, and the prefix under which it writes */
  constructor(
    workflow: WorkflowStep,
    store: Store,
    bindings: Bindings,
    job: { readonly compression: string; readonly prefix: string },
  ) {
    this.workflow = workflow;
    this.store = store;
    this.bindings = bindings;
    this.compression = job.compression;
    this.blobs = store.objects;
    this.journal = new StepJournal(store.objects, job.prefix);
  }

  /**
   * A step whose failure lies in the caller's input is a result like any other: stored, and never retried. Everything
   * else that is thrown makes the Workflow run the step again.
   * @throws JobFailure for the caller's input, the step's own error once its retries are spent.
   */
  async step<T extends Json>(name: string, run: () => Promise<T>): Promise<T> {
    // Stored as text, because the Workflow's own type of what can be stored knows no generic T.
    const stored = await this.workflow.do(name, DURABLE, async () => {
      const found = await this.journal.find(name);
      if (found !== null) return found;
      const outcome = await outcomeOf(run);
      if (outcome !== ENDED) await this.journal.record(name, outcome);
      return outcome;
    });
    const outcome = JSON.parse(stored) as { value: T } | { failure: Failure } | { ended: true };
    if ("ended" in outcome) throw new JobEndedError(`${this.compression} has been canceled`);
    if ("failure" in outcome) throw new JobFailure(outcome.failure);
    return outcome.value;
  }

  /**
   * Sends for the layers and sleeps until the consumer that has treated the last one wakes it. A message may be lost: where nothing
   * has come for a while, what is missing is sent for again.
   * @throws JobFailure where a layer's failure lies in the caller's input, or the recipe is strict
   */
  async treatLayers(work: LayerWork): Promise<void> {
    const timeout = 1000 * Number(this.bindings.LAYER_PATIENCE_S ?? PATIENCE_S);
    let before: LayersLeft | null = null;
    let moved = 0;
    for (let look = 1; ; look++) {
      const seen: LayersLeft | null = before;
      const stored: string = await this.workflow.do(`layers ${look}`, DURABLE, async () =>
        JSON.stringify(
          await giveOutLayers(this.compression, work, seen?.missing ?? null, this.store, this.bindings),
        ),
      );
      const left: LayersLeft = JSON.parse(stored);
      if (left.failure) throw new JobFailure(left.failure);
      if (left.missing === 0) return;
      if (left.missing !== before?.missing) moved = left.at;
      if (left.at - moved > MOST_IDLE_MS) throw new Error(`${left.missing} layers were never treated`);
      before = left;
      // The time in its name sets it apart from the wait of a run that was interrupted, which the local runtime takes for timed out.
      await this.workflow
        .waitForEvent(`layers treated ${left.at}`, { type: LAYERS_DONE, timeout })
        .catch(() => undefined);
    }
  }

  /** @throws JobEndedError when the job was canceled meanwhile. */
  async report(step: string, progress: number): Promise<void> {
    const { reported } = this;
    if (step === reported.step && progress < reported.progress + PROGRESS_STEP) return;
    this.reported = { step, progress };
    if (!(await this.store.compressions.progress(this.compression, step, progress, Date.now()))) {
      throw new JobEndedError(`${this.compression} has been canceled`);
    }
  }

  runtime(): Promise<Runtime> {
    return this.homes.runtime();
  }

  kernels(): Promise<Kernels> {
    return this.homes.kernels();
  }

  wasmBytes(): number {
    return this.homes.bytes();
  }

  now(): Promise<number> {
    return workerdNow();
  }
}

const ENDED = JSON.stringify({ ended: true });

/** What a step has come to, as text; an error that another attempt may not meet is thrown. */
async function outcomeOf(run: () => Promise<Json>): Promise<string> {
  try {
    return JSON.stringify({ value: await run() });
  } catch (error) {
    if (error instanceof JobEndedError) return ENDED;
    const failure = failureOf(error);
    if (failure) return JSON.stringify({ failure });
    throw error;
  }
}
