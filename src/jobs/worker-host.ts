import type { WorkflowStep, WorkflowStepConfig } from "cloudflare:workers";
import type { Kernels } from "../kernels/kernels.ts";
import { workerdKernels } from "../kernels/wasm/workerd.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { workerdRuntime } from "../runtime/workerd.ts";
import { workerdNow } from "../runtime/workerd-clock.ts";
import type { Objects } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { type Failure, failureOf, JobEndedError, JobFailure } from "./failures.ts";
import type { JobHost, Json } from "./job.ts";

/** For what may pass: a lost isolate, D1 or R2 out of reach. */
export const DURABLE: WorkflowStepConfig = {
  retries: { limit: 4, delay: "1 second", backoff: "exponential" },
  timeout: "30 minutes",
};

/** Smallest change of progress that is written. */
const PROGRESS_STEP = 0.01;

/** A job's host in the Worker: steps of a Workflow, R2 objects, progress in D1. */
export class WorkerHost implements JobHost {
  readonly blobs: Objects;
  private readonly workflow: WorkflowStep;
  private readonly store: Store;
  private readonly compression: string;
  private reported = { step: "", progress: -1 };

  constructor(workflow: WorkflowStep, store: Store, compression: string) {
    this.workflow = workflow;
    this.store = store;
    this.compression = compression;
    this.blobs = store.objects;
  }

  /**
   * A step whose failure lies in the caller's input is a result like any other: stored, and never retried. Everything
   * else that is thrown makes the Workflow run the step again.
   * @throws JobFailure for the caller's input, the step's own error once its retries are spent.
   */
  async step<T extends Json>(name: string, run: () => Promise<T>): Promise<T> {
    // Stored as text, because the Workflow's own type of what can be stored knows no generic T.
    const stored = await this.workflow.do(name, DURABLE, async () => {
      try {
        return JSON.stringify({ value: await run() });
      } catch (error) {
        if (error instanceof JobEndedError) return JSON.stringify({ ended: true });
        const failure = failureOf(error);
        if (failure) return JSON.stringify({ failure });
        throw error;
      }
    });
    const outcome = JSON.parse(stored) as { value: T } | { failure: Failure } | { ended: true };
    if ("ended" in outcome) throw new JobEndedError(`${this.compression} has been canceled`);
    if ("failure" in outcome) throw new JobFailure(outcome.failure);
    return outcome.value;
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
    return workerdRuntime();
  }

  kernels(): Promise<Kernels> {
    return workerdKernels();
  }

  now(): Promise<number> {
    return workerdNow();
  }
}
