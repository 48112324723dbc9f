import manifest from "../../package.json" with { type: "json" };
import { type LayerReport, Report } from "../../schemas/report.ts";
import type { LayerResult } from "../compress/layer-result.ts";
import { settled } from "../compress/settle.ts";
import { isUntouched, methodName } from "../compress/treatment.ts";
import { inspectModel } from "../onnx/inspect.ts";
import { listLayers } from "../onnx/layers.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import type { Allocation } from "./allocate.ts";
import type { ArtifactFacts } from "./assemble-artifact.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { Evaluation } from "./evaluate-artifact.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import { readResults } from "./layer-results.ts";
import { type LayerTable, nonzeroOf, originOf } from "./layer-table.ts";
import type { ChannelPruning } from "./prune-channels.ts";
import { putBytes } from "./put-bytes.ts";
import type { LosslessFacts } from "./simplify-upload.ts";
import type { StepCost } from "./step-log.ts";
import { readArtifact } from "./stored-model.ts";
import type { Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly lossless: LosslessFacts;
  readonly calibration: CalibrationFacts;
  readonly moments: MomentsFacts;
  readonly pruning: ChannelPruning;
  readonly allocation: Allocation;
  /** The layers before channels were pruned, and after. */
  readonly whole: LayerTable;
  readonly table: LayerTable;
  readonly artifact: ArtifactFacts;
  readonly evaluation: Evaluation;
  readonly bench: Workbench;
  readonly blobs: Blobs;
  readonly steps: readonly StepCost[];
}

/** Gathers what was measured, counted on upload and artifact as they are stored. */
export async function writeReport(context: Context): Promise<{ key: string }> {
  const { job, upload, calibration, allocation, table, artifact, evaluation, blobs } = context;
  const stored = await readArtifact(blobs, artifact.key);
  const after = await inspectModel(stored);
  const lossless = artifact.unchanged || calibration.base === "upload" ? [] : context.lossless.changes;
  const { results } = settled(await readResults(job, blobs, allocation.decisions));
  const base = await inspectModel(artifact.unchanged ? stored : table.model);
  const changes = changesOf(results, artifact);
  const zeros = await zerosOf(context, results);
  const report: Report = {
    model: {
      sha256: job.modelSha256,
      opset: upload.opset,
      nodes: { original: upload.nodes, compressed: after.nodes },
    },
    artifact: { sha256: artifact.sha256 },
    bytes: { original: upload.bytes, compressed: artifact.bytes },
    parameters: {
      total: { original: upload.parameters, compressed: base.parameters + changes.parameters },
      nonzero: {
        original: upload.parameters - zeros.upload,
        compressed: base.parameters - (artifact.unchanged ? zeros.upload : zeros.base) + changes.nonzero,
      },
    },
    macs:
      upload.macs === null || after.macs === null ? null : { original: upload.macs, compressed: after.macs },
    fidelity: evaluation.fidelity,
    accuracy: evaluation.accuracy,
    latency_ms: evaluation.latency,
    layers: await Promise.all(
      results.map((result, i) => layerReport(context, result, allocation.decisions[i]!.reason)),
    ),
    lossless: [...lossless],
    steps: [...context.steps],
    warnings: [
      ...context.lossless.warnings,
      ...calibration.warnings,
      ...allocation.warnings,
      ...evaluation.warnings,
    ],
    engine: { version: manifest.version, runtime: evaluation.runtime },
  };
  const bytes = new TextEncoder().encode(JSON.stringify(Report.parse(report)));
  const key = `${job.prefix}report.json`;
  await putBytes(blobs, key, bytes);
  return { key };
}

/** Whether the layer's result is not in the artifact. */
function isUndone({ layer }: LayerResult, { unchanged, dropped }: ArtifactFacts): boolean {
  return unchanged || dropped.includes(layer);
}

/** What the layers' results add to the base model's counts, by the tensors as they are stored. */
function changesOf(results: readonly LayerResult[], artifact: ArtifactFacts) {
  const done = results.filter((result) => !isUndone(result, artifact));
  const sum = (figure: "parameters" | "nonzero") =>
    done.reduce((total, { stats }) => total + stats[figure].compressed - stats[figure].original, 0);
  return { parameters: sum("parameters"), nonzero: sum("nonzero") };
}

async function layerReport(
  { whole, table, moments, pruning, artifact }: Context,
  result: LayerResult,
  reason: string | null,
): Promise<LayerReport> {
  const { layer, op, treatment, stats } = result;
  const asked = table.policy.layers.get(layer)?.quantization.use === "exactly";
  const undone = isUndone(result, artifact);
  const original = whole.layers.find(({ name }) => name === layer)!;
  const pruned = !artifact.unchanged && original.parameters > stats.parameters.original;
  const pair = <T>(before: T, { original, compressed }: { original: T; compressed: T }) => ({
    original: before,
    compressed: artifact.unchanged ? before : undone ? original : compressed,
  });
  const methods = [
    ...(pruned ? ["channel_pruning"] : []),
    ...(undone || isUntouched(treatment) ? [] : [methodName(treatment)]),
  ];
  const remarks = [
    undone && !isUntouched(treatment) ? "it would have become larger" : reason,
    ...(undone || !asked ? [] : result.remarks),
    isUntouched(treatment) || !moments.unseen[layer]
      ? null
      : `treated without samples: ${moments.unseen[layer]}`,
    pruning.left.find((one) => one.layer === layer)?.reason ?? null,
  ].filter((remark) => remark !== null);
  return {
    name: layer,
    op,
    method: methods.join("+") || "none",
    reason: remarks.join("; ") || null,
    bytes: pair(original.bytes, stats.bytes),
    parameters: pair(original.parameters, stats.parameters),
    nonzero: pair(pruned ? await nonzeroOf(original) : stats.nonzero.original, stats.nonzero),
    macs: pair(original.macs, stats.macs),
    weight_error: undone ? 0 : stats.weightError,
    layer_error: undone ? 0 : stats.layerError,
  };
}

/**
 * Zeros among the numbers of all layers' weights, in the upload and in the model that was treated. Who treated a layer has counted them;
 * of the upload's weights those are read, one at a time, that the treated model has from elsewhere.
 */
async function zerosOf({ bench, table }: Context, results: readonly LayerResult[]) {
  const upload = await bench.upload();
  const { shapes } = await inferDefaultShapes(upload);
  const counted = new Map<string | object, number>();
  let zeros = { upload: 0, base: 0 };
  for (const [i, layer] of table.layers.entries()) {
    const nonzero = results[i]!.stats.nonzero.original;
    counted.set(originOf(layer), nonzero);
    zeros = { ...zeros, base: zeros.base + layer.parameters - nonzero };
  }
  for (const layer of listLayers(upload, shapes)) {
    const nonzero = counted.get(originOf(layer)) ?? (await nonzeroOf(layer));
    zeros = { ...zeros, upload: zeros.upload + layer.parameters - nonzero };
  }
  return zeros;
}
