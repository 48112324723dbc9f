import { allocate } from "./allocate.ts";
import { assembleArtifact } from "./assemble-artifact.ts";
import { calibrate } from "./calibrate.ts";
import { compressLayers } from "./compress-layers.ts";
import { CountedBlobs } from "./counted-blobs.ts";
import { evaluateArtifact } from "./evaluate-artifact.ts";
import { inspectUpload } from "./inspect-upload.ts";
import type { CompressionJob, CompressionOutcome, JobHost } from "./job.ts";
import { LayerTable } from "./layer-table.ts";
import { planArtifact } from "./plan-artifact.ts";
import { writeReport } from "./report.ts";
import { simplifyUpload } from "./simplify-upload.ts";
import { StepLog } from "./step-log.ts";
import { lazy, Workbench } from "./workbench.ts";

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
