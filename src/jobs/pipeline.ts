import { allocate } from "./allocate.ts";
import { assembleArtifact } from "./assemble-artifact.ts";
import { calibrate } from "./calibrate.ts";
import { CountedBlobs } from "./counted-blobs.ts";
import { evaluateArtifact } from "./evaluate-artifact.ts";
import { gatherMoments } from "./gather-moments.ts";
import { inspectUpload } from "./inspect-upload.ts";
import type { CompressionJob, CompressionOutcome, JobHost } from "./job.ts";
import { LayerTable } from "./layer-table.ts";
import { planArtifact } from "./plan-artifact.ts";
import { pruneChannels } from "./prune-channels.ts";
import { writeReport } from "./report.ts";
import { simplifyUpload } from "./simplify-upload.ts";
import { StepLog } from "./step-log.ts";
import { readStored } from "./stored-model.ts";
import { treatLayers } from "./treat-layers.ts";
import { Workbench } from "./workbench.ts";

/**
 * A compression, as a flat list of durable steps. Each writes to keys of its own and can be run again: a crash
 * repeats work and changes nothing. The same job gives the same artifact on every host.
 *
 * @throws the typed errors of its inputs (ModelError, SamplesError, UnsupportedRecipeError, UnknownLayerError,
 *   MixError, TargetUnreachableError, RuntimeRunError), JobFailure where a step is durable
 */
export async function runCompression(job: CompressionJob, host: JobHost): Promise<CompressionOutcome> {
  const blobs = new CountedBlobs(host);
  const steps = new StepLog(host, blobs);
  const upload = await steps.run("inspect", 0, () => inspectUpload(job, blobs));
  const bench = new Workbench(job, host, blobs, upload.macs);
  const lossless = await steps.run("simplify", 0.04, () => simplifyUpload(job, bench, blobs));
  const calibration = await steps.run("calibrate", 0.1, () => calibrate(job, lossless, bench));
  const whole = await LayerTable.of(await bench.base(calibration.base), job.recipe);
  const seen = await steps.run("moments", 0.12, () =>
    gatherMoments({ job, calibration, table: whole, bench, blobs, host, stage: "whole" }),
  );
  const pruning = await pruneChannels({
    job,
    upload,
    calibration,
    table: whole,
    moments: seen,
    bench,
    host,
    blobs,
    steps,
    progress: [0.15, 0.2],
  });
  const { model } = pruning;
  const table = model === null ? whole : await LayerTable.of(await readStored(blobs, model), job.recipe);
  const moments =
    model === null
      ? seen
      : await steps.run("moments after pruning", 0.2, () =>
          gatherMoments({ job, calibration, table, bench, blobs, host, stage: "pruned" }),
        );
  const choices = await treatLayers({
    job,
    calibration,
    moments,
    table,
    model: model ?? bench.stored(calibration.base),
    bench,
    host,
    blobs,
    steps,
    macs: upload.macs,
    progress: [0.22, 0.5],
  });
  const allocation = await allocate({ job, upload, calibration, table, choices, bench, host, blobs, steps });
  const { decisions } = allocation;
  const artifact = await steps.run("assemble", 0.76, () =>
    assembleArtifact({ job, upload, calibration, decisions, table, bench, blobs }),
  );
  const evaluation = await steps.run("evaluate", 0.8, () =>
    evaluateArtifact({ calibration, artifact, bench, blobs, host }),
  );
  const plan = await steps.run("plan", 0.95, () =>
    planArtifact({ job, calibration, artifact, bench, blobs, host }),
  );
  const report = await steps.run("report", 0.98, () =>
    writeReport({
      job,
      upload,
      lossless,
      calibration,
      moments,
      pruning,
      allocation,
      whole,
      table,
      artifact,
      evaluation,
      bench,
      blobs,
      steps: steps.costs,
    }),
  );
  return { artifact, report, plan };
}
