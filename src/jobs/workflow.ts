import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import type { Bindings, CompressionParams } from "../store/bindings.ts";
import type { JobEnd } from "../store/compressions.ts";
import { jobPrefix } from "../store/object-keys.ts";
import { Store } from "../store/store.ts";
import { failureOf, JobEndedError } from "./failures.ts";
import type { CompressionJob } from "./job.ts";
import { endJob } from "./lifecycle.ts";
import { notify } from "./notify.ts";
import { runCompression } from "./pipeline.ts";
import { uploadedModel } from "./uploaded-model.ts";
import { DURABLE, WorkerHost } from "./worker-host.ts";

/**
 * A compression from queued to its end: start, the steps of the pipeline, end, notify. Each is durable, so that an
 * isolate that dies costs the step it was in and nothing else.
 */
export class CompressionWorkflow extends WorkflowEntrypoint<Bindings, CompressionParams> {
  override async run(event: Readonly<WorkflowEvent<CompressionParams>>, step: WorkflowStep) {
    const store = new Store(this.env);
    const id = event.payload.compression;
    const job = await step.do("start", DURABLE, async () => JSON.stringify(await startOf(store, id)));
    const started = JSON.parse(job) as CompressionJob | null;
    if (!started) return;
    const end = await ending(
      started,
      new WorkerHost(step, store, this.env, { compression: id, prefix: started.prefix }),
    );
    await step.do("end", DURABLE, () => endJob(store, id, end, Date.now()));
    await step.do("notify", DURABLE, async () => {
      const row = await store.compressions.ofJob(id);
      if (row) await notify(store, this.env.DELIVERIES, row, Date.now());
    });
  }
}

/** Marks the job as running and gathers what it needs. Null when it has been canceled or deleted. */
async function startOf(store: Store, id: string): Promise<CompressionJob | null> {
  if (!(await store.compressions.start(id, Date.now()))) return null;
  const row = await store.compressions.ofJob(id);
  if (!row) return null;
  const model = await store.models.get(row.accountId, row.modelId);
  const samples = row.calibrationId
    ? await store.calibrations.get(row.accountId, row.calibrationId)
    : undefined;
  if (!model || (row.calibrationId && !samples)) throw new Error(`${id}: an input has been deleted`);
  return {
    prefix: jobPrefix(row.accountId, id),
    model: uploadedModel(await store.models.files(model.id)),
    modelSha256: model.sha256,
    recipe: row.recipe,
    calibration: samples ? { key: samples.objectKey, format: samples.format } : null,
    mix: row.mix,
    plan: row.planOptions,
  };
}

/** Runs the pipeline to whatever end it comes to. */
async function ending(job: CompressionJob, host: WorkerHost): Promise<JobEnd> {
  try {
    const { artifact, report, plan } = await runCompression(job, host);
    return { status: "succeeded", artifact, reportKey: report.key, planKey: plan?.key ?? null };
  } catch (error) {
    if (error instanceof JobEndedError) return { status: "canceled" };
    const failure = failureOf(error);
    if (failure) return { status: "failed", error: failure };
    console.error(`job ${job.prefix} failed after its retries:`, error);
    return {
      status: "failed",
      error: {
        code: "internal_error",
        message:
          "The job failed on our side, after several attempts. Start it again, or write to us with its id.",
      },
    };
  }
}
