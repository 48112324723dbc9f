import type { LayerResult } from "../compress/compress-layer.ts";
import { decodeResult } from "../compress/result-file.ts";
import { encodeModel } from "../onnx/write.ts";
import type { LayerResults } from "./compress-layers.ts";
import { digestOf } from "./digest.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import type { Workbench } from "./workbench.ts";

export type ArtifactFacts = {
  readonly key: string;
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
  readonly results: LayerResults;
  readonly table: () => Promise<LayerTable>;
  readonly bench: Workbench;
  readonly blobs: Blobs;
}

/** Streams the artifact together. It is never larger than the upload: where it would be, it is the upload. */
export async function assembleArtifact(context: Context): Promise<ArtifactFacts> {
  const { job, upload, results, table, bench, blobs } = context;
  const { model, dropped } = (await table()).assemble(await readResults(blobs, results));
  const compressed = encodeModel(model);
  const unchanged = compressed.size > upload.bytes;
  const encoded = unchanged ? encodeModel(await bench.upload()) : compressed;
  const key = `${job.prefix}artifact.onnx`;
  await blobs.put(key, encoded.chunks(), encoded.size);
  return { key, bytes: encoded.size, sha256: await digestOf(await blobs.open(key)), dropped, unchanged };
}

/** The stored results; tensors stay where they are until they are written. */
export async function readResults(blobs: Blobs, { keys }: LayerResults): Promise<LayerResult[]> {
  const results: LayerResult[] = [];
  for (const key of keys) results.push(await decodeResult(await blobs.open(key)));
  return results;
}
