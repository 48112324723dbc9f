import { encodeResult } from "../compress/result-file.ts";
import type { Decision } from "../compress/treatment.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";

/** Where the layers' results lie, in the order of the layers. */
export type LayerResults = { readonly keys: readonly string[] };

interface Context {
  readonly job: CompressionJob;
  readonly decisions: readonly Decision[];
  readonly table: () => Promise<LayerTable>;
  readonly blobs: Blobs;
  readonly host: JobHost;
}

const BEGIN = 0.6;
const EXTENT = 0.15;

/** Carries out the decisions, one layer at a time, each result into a blob of its own. */
export async function compressLayers({ job, decisions, table, blobs, host }: Context): Promise<LayerResults> {
  const layers = await table();
  const keys: string[] = [];
  for (const [index, decision] of decisions.entries()) {
    await host.report("compress", BEGIN + (EXTENT * index) / decisions.length);
    const bytes = await encodeResult(await layers.compress(decision));
    const key = `${job.prefix}layers/${index}`;
    await blobs.put(key, once(bytes), bytes.byteLength);
    keys.push(key);
  }
  return { keys };
}

/** Bytes at hand as the chunks of a stream. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
