import type { LayerResult } from "../compress/layer-result.ts";
import { decodeResult, encodeResult } from "../compress/result-file.ts";
import type { Decision } from "../compress/treatment.ts";
import type { Blobs, CompressionJob } from "./job.ts";

/** Where the result of a layer's candidate lies. */
export function resultKey(job: Pick<CompressionJob, "prefix">, layer: number, candidate: number): string {
  return `${job.prefix}layers/${layer}/${candidate}`;
}

/** Writes a result as it is read, so that one which is joined from parts is never whole in memory. */
export async function storeResult(blobs: Blobs, key: string, result: LayerResult): Promise<void> {
  await blobs.put(key, encodeResult(result));
}

/** The stored results of the decisions; tensors stay where they are until they are written. */
export async function readResults(
  job: Pick<CompressionJob, "prefix">,
  blobs: Blobs,
  decisions: readonly Decision[],
): Promise<LayerResult[]> {
  const results: LayerResult[] = [];
  for (const [layer, { candidate }] of decisions.entries()) {
    results.push(await decodeResult(await blobs.open(resultKey(job, layer, candidate))));
  }
  return results;
}
