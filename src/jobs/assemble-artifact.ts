import type { Decision } from "../compress/treatment.ts";
import { encodeModel, fitsOneFile, modelSize } from "../onnx/write.ts";
import { encodeArchive } from "../onnx/write-archive.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { finishedModel } from "./finished-model.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob, StoredModel } from "./job.ts";
import { readResults } from "./layer-results.ts";
import type { LayerTable } from "./layer-table.ts";
import { storeModel } from "./stored-model.ts";
import type { Workbench } from "./workbench.ts";

export type ArtifactFacts = {
  readonly key: string;
  /** The artifact before convolutions were rewritten to run faster and names were shortened: the layers can be told in it. */
  readonly readable: StoredModel;
  readonly bytes: number;
  readonly sha256: string;
  /** Layers whose results would have made them larger and were left out. */
  readonly dropped: readonly string[];
  /** True where nothing made the upload smaller, and the artifact is the upload itself. */
  readonly unchanged: boolean;
};

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly calibration: CalibrationFacts;
  readonly decisions: readonly Decision[];
  readonly table: LayerTable;
  readonly bench: Workbench;
  readonly blobs: Blobs;
}

/** Streams the artifact together: one ONNX file, or a tar where it is past 2 GiB. It is never larger than the upload: where it would be, it is the upload. */
export async function assembleArtifact(context: Context): Promise<ArtifactFacts> {
  const { job, upload, calibration, decisions, table, bench, blobs } = context;
  const { model, dropped } = table.assemble(await readResults(job, blobs, decisions));
  const compressed = await finishedModel(model, table, calibration, bench);
  const unchanged = modelSize(compressed) > upload.bytes;
  const finished = unchanged ? await bench.upload() : compressed;
  const readable = await storeModel(blobs, `${job.prefix}readable.onnx`, unchanged ? finished : model);
  const whole = fitsOneFile(finished);
  const encoded = whole ? encodeModel(finished) : encodeArchive(finished);
  const key = `${job.prefix}artifact.${whole ? "onnx" : "tar"}`;
  const sha256 = await blobs.put(key, encoded);
  return { key, readable, bytes: encoded.size, sha256, dropped, unchanged };
}
