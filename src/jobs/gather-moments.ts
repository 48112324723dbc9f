import { collectMoments, type LayerMoments } from "../evaluate/moments/collect.ts";
import { decodeMoments, encodeMoments } from "../evaluate/moments/moments-file.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import { putBytes } from "./put-bytes.ts";
import type { Workbench } from "./workbench.ts";

/** Where each layer's moments lie, by the layer's name. */
export type MomentsFacts = {
  readonly keys: Readonly<Record<string, string>>;
  /** Why nothing was seen of a layer's inputs. */
  readonly unseen: Readonly<Record<string, string>>;
};

interface Context {
  readonly job: CompressionJob;
  readonly calibration: CalibrationFacts;
  readonly table: LayerTable;
  readonly bench: Workbench;
  readonly blobs: Blobs;
  readonly host: JobHost;
  /** Tells apart the moments of the model before and after channels were pruned. */
  readonly stage: string;
}

/**
 * Sees what each layer's weight multiplies while the model runs on the caller's samples. Made-up samples tell nothing
 * about the inputs that will come: without the caller's there are no moments, and methods are data-free.
 */
export async function gatherMoments(context: Context): Promise<MomentsFacts> {
  const { job, calibration, table, bench, blobs, host, stage } = context;
  const keys: Record<string, string> = {};
  const unseen: Record<string, string> = {};
  if (job.calibration === null || !calibration.runs) return { keys, unseen };
  const { feeds, heldOut } = await bench.reference();
  const taught = feeds.filter((_, i) => !heldOut.has(i));
  const options = {
    execution: await bench.execution(),
    model: table.model,
    feeds: taught,
    kernels: await host.kernels(),
  };
  for await (const moments of collectMoments(options)) {
    if (moments.matrices === null) {
      unseen[moments.layer] = moments.reason;
      continue;
    }
    const bytes = encodeMoments(moments);
    const key = `${job.prefix}moments/${stage}/${Object.keys(keys).length}`;
    await putBytes(blobs, key, bytes);
    keys[moments.layer] = key;
  }
  return { keys, unseen };
}

/** The layer's moments; null where nothing was seen of its inputs. */
export async function readMoments(
  blobs: Blobs,
  { keys }: MomentsFacts,
  layer: string,
): Promise<LayerMoments["matrices"]> {
  const key = keys[layer];
  if (key === undefined) return null;
  return (await decodeMoments(await blobs.open(key))).matrices;
}
