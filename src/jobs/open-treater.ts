import { LayerTreater } from "../compress/layer-treater.ts";
import type { StageOffer } from "../compress/stages/offer.ts";
import { type MomentsFacts, readMoments } from "./gather-moments.ts";
import type { Blobs, JobHost } from "./job.ts";
import { type LayerTable, nonzeroOf } from "./layer-table.ts";

interface Context {
  readonly moments: MomentsFacts;
  /** Shares of zeros of the layers that take part in a ratio over the whole model. */
  readonly globalRatios: Readonly<Record<string, number>>;
  readonly table: LayerTable;
  readonly host: Pick<JobHost, "kernels">;
  readonly blobs: Blobs;
}

/** The layer with its numbers and what was seen of its inputs. */
export async function openTreater(
  { moments, globalRatios, table, host, blobs }: Context,
  index: number,
  offers: readonly StageOffer[] = [],
): Promise<LayerTreater> {
  const facts = table.facts[index]!;
  const weight = await table.weight(index);
  return new LayerTreater({
    facts,
    weight: weight ?? null,
    nonzero: weight ? null : await nonzeroOf(table.layers[index]!),
    bias: await table.bias(index),
    moments: await readMoments(blobs, moments, facts.name),
    kernels: await host.kernels(),
    opset: table.opset,
    globalRatio: globalRatios[facts.name] ?? null,
    offers,
  });
}
