import { stageSizes } from "../compress/allocate/treatments.ts";
import type { RuntimeKind } from "../compress/kernel-sharing/rates.ts";
import { type LayerStage, layerStages } from "../compress/stages/layer-stages.ts";
import type { StageOffer } from "../compress/stages/offer.ts";
import { solveStage } from "../compress/stages/solve-stage.ts";
import type { BasisForm } from "../compress/treatment.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import { openTreater } from "./open-treater.ts";
import { putBytes } from "./put-bytes.ts";
import type { StepLog } from "./step-log.ts";

/** An offer whose basis lies in a blob of floats. */
export type StoredOffer = {
  readonly form: BasisForm;
  readonly layers: readonly string[];
  readonly key: string;
};

interface Context {
  readonly job: CompressionJob;
  readonly moments: MomentsFacts;
  readonly globalRatios: Readonly<Record<string, number>>;
  readonly table: LayerTable;
  readonly host: JobHost;
  readonly blobs: Blobs;
  readonly steps: StepLog;
}

const FLOAT_BYTES = 4;

/**
 * Where the recipe asks for bases that stages share: solves them, a durable step a stage. From its stage's basis each layer
 * then finds the rest by itself.
 */
export async function shareBases(context: Context, progress: number): Promise<StoredOffer[]> {
  const { table, steps } = context;
  const layers = table.facts.map((facts, i) => ({ facts, graph: table.layers[i]!.weight.path }));
  const offers: StoredOffer[] = [];
  for (const stage of layerStages(layers, table.policy)) {
    offers.push(
      ...(await steps.run(`share basis ${stage.name}`, progress, () => solveAndStore(context, stage))),
    );
  }
  return offers;
}

async function solveAndStore(context: Context, stage: LayerStage): Promise<StoredOffer[]> {
  const { job, table, host, blobs } = context;
  const treaters = [];
  for (const index of stage.layers) treaters.push(await openTreater(context, index));
  const policy = table.policy.layers.get(treaters[0]!.facts.name)!;
  const sizes = stageSizes(stage.kind, treaters, policy);
  // As for the forms of single layers: an explicit recipe is held to the times of one runtime, a search to both.
  const runtimes: readonly RuntimeKind[] = table.policy.mode === "explicit" ? ["web"] : ["web", "native"];
  const offers = solveStage(stage, treaters, sizes, runtimes, await host.kernels());
  const stored: StoredOffer[] = [];
  for (const [index, { form, layers, basis }] of offers.entries()) {
    const key = `${job.prefix}bases/${stage.name}/${index}`;
    await putBytes(blobs, key, new Uint8Array(basis.buffer, basis.byteOffset, basis.byteLength));
    stored.push({ form, layers, key });
  }
  return stored;
}

/** What the layer is offered, with the bases. */
export async function readOffers(
  blobs: Blobs,
  offers: readonly StoredOffer[],
  layer: string,
): Promise<StageOffer[]> {
  const own: StageOffer[] = [];
  for (const { form, layers, key } of offers) {
    if (!layers.includes(layer)) continue;
    const source = await blobs.open(key);
    const bytes = (await source.read(0, source.size)).slice();
    own.push({ form, layers, basis: new Float32Array(bytes.buffer, 0, bytes.length / FLOAT_BYTES) });
  }
  return own;
}
