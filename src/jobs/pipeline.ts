import type { Mix } from "../../schemas/mix.ts";
import type { PlanOptions } from "../../schemas/plan.ts";
import type { Recipe } from "../../schemas/recipe.ts";
import type { ByteSource } from "../onnx/source.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { allocate } from "./allocate.ts";
import { assembleArtifact } from "./assemble-artifact.ts";
import { calibrate } from "./calibrate.ts";
import { compressLayers } from "./compress-layers.ts";
import { CountedBlobs } from "./counted-blobs.ts";
import { evaluateArtifact } from "./evaluate-artifact.ts";
import { inspectUpload } from "./inspect-upload.ts";
import { LayerTable } from "./layer-table.ts";
import { planArtifact } from "./plan-artifact.ts";
import { writeReport } from "./report.ts";
import { simplifyUpload } from "./simplify-upload.ts";
import { StepLog } from "./step-log.ts";
import { lazy, Workbench } from "./workbench.ts";

/** Values that survive a crash: what a step returns is stored as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Bytes that survive a crash, by deterministic keys: R2 in the Worker, a temporary folder in the CLI. */
export interface Blobs {
  /** Writes the whole object; writing the same key again replaces it with the same bytes. */
  put(key: string, chunks: AsyncIterable<Uint8Array>, size: number): Promise<void>;
  /** @throws BlobMissingError when nothing was written under the key. */
  open(key: string): Promise<ByteSource>;
}

/** Where a job runs: the Workflow in workerd, the command line in Node, a page in a browser. */
export interface JobHost {
  readonly blobs: Blobs;
  /** Runs a named durable step once; a retry or a restart answers with the stored result. */
  step<T extends Json>(name: string, run: () => Promise<T>): Promise<T>;
  /** Tells the user how far the job is; may be called often. `progress` is in [0, 1]. */
  report(step: string, progress: number): Promise<void>;
  runtime(): Promise<Runtime>;
  /** Milliseconds, for durations only. Async, because workerd's clock stands still between I/O. */
  now(): Promise<number>;
}

/** What to do, with every input as a blob key. */
export interface CompressionJob {
  /** Prefix under which the job writes: `jobs/<id>/`. */
  readonly prefix: string;
  readonly model: { readonly key: string; readonly external: Readonly<Record<string, string>> };
  readonly recipe: Recipe;
  readonly calibration: { readonly key: string; readonly format: "npz" | "npy" | "safetensors" } | null;
  readonly mix: Mix | null;
  readonly plan: PlanOptions;
}

/** Blob keys of the results, and the figures a status line shows. */
export type CompressionOutcome = {
  readonly artifact: { readonly key: string; readonly bytes: number; readonly sha256: string };
  readonly report: { readonly key: string };
  readonly plan: { readonly key: string } | null;
};

/**
 * A compression, as a flat list of durable steps. Each writes to keys of its own and can be run again: a crash
 * repeats work and changes nothing. The same job gives the same artifact on every host.
 *
 * @throws the typed errors of its inputs (ModelError, SamplesError, UnsupportedRecipeError, UnknownLayerError,
 *   MixError, TargetUnreachableError, RuntimeRunError), JobFailure where a step is durable
 */
export async function runCompression(job: CompressionJob, host: JobHost): Promise<CompressionOutcome> {
  const blobs = new CountedBlobs(host.blobs);
  const steps = new StepLog(host, blobs);
  const upload = await steps.run("inspect", 0, () => inspectUpload(job, blobs));
  const bench = new Workbench(job, host, blobs, upload.macs);
  const lossless = await steps.run("simplify", 0.04, () => simplifyUpload(bench, blobs));
  const calibration = await steps.run("calibrate", 0.1, () => calibrate(job, bench, host));
  const table = lazy(async () => LayerTable.of(await bench.base(calibration.base), job.recipe));
  const allocation = await allocate({ job, upload, calibration, table, bench, host, blobs, steps });
  const results = await steps.run("compress", 0.6, () =>
    compressLayers({ job, decisions: allocation.decisions, table, blobs, host }),
  );
  const artifact = await steps.run("assemble", 0.75, () =>
    assembleArtifact({ job, upload, results, table, bench, blobs }),
  );
  const evaluation = await steps.run("evaluate", 0.8, () =>
    evaluateArtifact({ calibration, artifact, bench, blobs, host }),
  );
  const plan = await steps.run("plan", 0.95, () => planArtifact({ job, artifact, blobs }));
  const report = await steps.run("report", 0.98, () =>
    writeReport({
      job,
      upload,
      lossless,
      calibration,
      allocation,
      results,
      artifact,
      evaluation,
      bench,
      blobs,
      steps: steps.costs,
    }),
  );
  return { artifact, report, plan };
}
