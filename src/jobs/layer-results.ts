import type { LayerResult } from "../compress/layer-result.ts";
import { decodeResult } from "../compress/result-file.ts";
import type { Decision } from "../compress/treatment.ts";
import type { Blobs, CompressionJob } from "./job.ts";

/** Where the result of a layer's candidate lies. */
export function resultKey(job: CompressionJob, layer: number, candidate: number): string {
  return `${job.prefix}layers/${layer}/${candidate}`;
}

/** The stored results of the decisions; tensors stay where they are until they are written. */
export async function readResults(
  job: CompressionJob,
  blobs: Blobs,
  decisions: readonly Decision[],
): Promise<LayerResult[]> {
  const results: LayerResult[] = [];
  for (const [layer, { candidate }] of decisions.entries()) {
    results.push(await decodeResult(await blobs.open(resultKey(job, layer, candidate))));
  }
  return results;
}
