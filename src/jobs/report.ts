import manifest from "../../package.json" with { type: "json" };
import { type LayerReport, Report } from "../../schemas/report.ts";
import type { LayerResult } from "../compress/compress-layer.ts";
import { methodName } from "../compress/treatment.ts";
import { inspectModel } from "../onnx/inspect.ts";
import { listLayers } from "../onnx/layers.ts";
import type { Model } from "../onnx/model.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import type { Allocation } from "./allocate.ts";
import { type ArtifactFacts, readResults } from "./assemble-artifact.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { type LayerResults, once } from "./compress-layers.ts";
import type { Evaluation } from "./evaluate-artifact.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import { nonzeroOf } from "./layer-table.ts";
import type { LosslessChanges } from "./simplify-upload.ts";
import type { StepCost } from "./step-log.ts";
import { readStored, type Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly lossless: LosslessChanges;
  readonly calibration: CalibrationFacts;
  readonly allocation: Allocation;
  readonly results: LayerResults;
  readonly artifact: ArtifactFacts;
  readonly evaluation: Evaluation;
  readonly bench: Workbench;
  readonly blobs: Blobs;
  readonly steps: readonly StepCost[];
}

/** Gathers what was measured, counted on upload and artifact as they are stored. */
export async function writeReport(context: Context): Promise<{ key: string }> {
  const { job, upload, calibration, allocation, artifact, evaluation, bench, blobs } = context;
  const stored = await readStored(blobs, artifact.key);
  const after = await inspectModel(stored);
  const lossless = artifact.unchanged || calibration.base === "upload" ? [] : context.lossless;
  const results = await readResults(blobs, context.results);
  const report: Report = {
    model: {
      sha256: upload.sha256,
      opset: upload.opset,
      nodes: { original: upload.nodes, compressed: after.nodes },
    },
    artifact: { sha256: artifact.sha256 },
    bytes: { original: upload.bytes, compressed: artifact.bytes },
    parameters: {
      total: { original: upload.parameters, compressed: after.parameters },
      nonzero: {
        original: upload.parameters - (await zerosOf(await bench.upload())),
        compressed: after.parameters - (await zerosOf(stored)),
      },
    },
    macs:
      upload.macs === null || after.macs === null ? null : { original: upload.macs, compressed: after.macs },
    fidelity: evaluation.fidelity,
    accuracy: evaluation.accuracy,
    latency_ms: evaluation.latency,
    layers: results.map((result) => layerReport(result, artifact)),
    lossless: [...lossless],
    steps: [...context.steps],
    warnings: [...calibration.warnings, ...allocation.warnings],
    engine: { version: manifest.version, runtime: evaluation.runtime },
  };
  const bytes = new TextEncoder().encode(JSON.stringify(Report.parse(report)));
  const key = `${job.prefix}report.json`;
  await blobs.put(key, once(bytes), bytes.byteLength);
  return { key };
}

function layerReport(
  { layer, op, treatment, reason, stats }: LayerResult,
  artifact: ArtifactFacts,
): LayerReport {
  const undone = artifact.unchanged || artifact.dropped.includes(layer);
  const pair = <T>({ original, compressed }: { original: T; compressed: T }) => ({
    original,
    compressed: undone ? original : compressed,
  });
  return {
    name: layer,
    op,
    method: undone ? "none" : methodName(treatment),
    reason: undone && treatment.method !== "none" ? "it would have become larger" : reason,
    bytes: pair(stats.bytes),
    parameters: pair(stats.parameters),
    nonzero: pair(stats.nonzero),
    macs: pair(stats.macs),
    weight_error: undone ? 0 : stats.weightError,
  };
}

/** Zeros among the numbers of all layers' weights; reads one weight at a time. */
async function zerosOf(model: Model): Promise<number> {
  const { shapes } = await inferDefaultShapes(model);
  let zeros = 0;
  for (const layer of listLayers(model, shapes)) zeros += layer.parameters - (await nonzeroOf(layer));
  return zeros;
}
