import type { LayerChoices } from "../compress/allocate/decide.ts";
import { candidatesToTry } from "../compress/allocate/probe.ts";
import { treatmentsFor } from "../compress/allocate/treatments.ts";
import { undominated } from "../compress/allocate/undominated.ts";
import { type TreatedLayer, untouchedLayer } from "../compress/treated-layer.ts";
import { UNTOUCHED } from "../compress/treatment.ts";
import { storedAs } from "../compress/weight.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import { LayerBlocks } from "./layer-blocks.ts";
import { resultKey, storeResult } from "./layer-results.ts";
import { type LayerTable, nonzeroOf } from "./layer-table.ts";
import { openTreater } from "./open-treater.ts";
import { readOffers, type StoredOffer } from "./share-bases.ts";
import { putTrial } from "./trial-file.ts";

/** What all layers' treatments need to know beside the model, the same wherever they are carried out. */
export type TreatFacts = {
  readonly moments: MomentsFacts;
  readonly offers: readonly StoredOffer[];
  /** Shares of zeros of the layers that take part in a ratio over the whole model. */
  readonly globalRatios: Readonly<Record<string, number>>;
  /** How many of a layer's candidates are to be tried on the outputs; null where nothing can be tried. */
  readonly trials: number | null;
};

/** What may be done to a layer, and the candidates that are to be tried on the outputs. */
export type TreatedChoices = {
  readonly choices: LayerChoices;
  readonly tried: readonly number[];
};

export interface TreatContext {
  readonly job: Pick<CompressionJob, "prefix">;
  readonly facts: TreatFacts;
  readonly table: LayerTable;
  readonly host: Pick<JobHost, "kernels">;
  readonly blobs: Blobs;
}

const UNREACHED = "it is part of a branch or loop, and whether the samples reach it could not be found out";

/**
 * Makes everything that may be done to one layer, each result a blob of its own, and the weights with which some of it is to be tried.
 * It reads this layer alone and runs no model.
 */
export async function treatLayer(context: TreatContext, index: number): Promise<TreatedChoices> {
  const { job, table, facts, blobs } = context;
  const layer = table.facts[index]!.name;
  const blocks = LayerBlocks.of(context, index);
  if (blocks) return { choices: await blocks.treat(), tried: [] };
  const store = (candidate: number, { result }: TreatedLayer) =>
    storeResult(blobs, resultKey(job, index, candidate), result);
  const treater = await openTreater(
    { ...context, ...facts },
    index,
    await readOffers(blobs, facts.offers, layer),
  );
  const made = (treated: readonly TreatedLayer[], why: string | null) => choicesOf(layer, treated, why);
  const untouched = treater.treat(UNTOUCHED);
  await store(0, untouched);
  const { treatments, reason } = treatmentsFor(treater, table.policy, layer);
  if (table.policy.mode === "explicit") {
    const treated = [untouched, ...treatments.slice(0, 1).map((treatment) => treater.treat(treatment))];
    for (const one of treated.slice(1)) await store(1, one);
    return { choices: made(treated, reason), tried: [] };
  }
  if (facts.trials === null && table.conditional(index)) {
    return { choices: made([untouched], UNREACHED), tried: [] };
  }
  const paying = treatments
    .filter(({ form }) => form === null || !treater.slows(form))
    .map((treatment) => treater.treat(treatment))
    .filter(({ candidate }) => candidate.bytes < untouched.candidate.bytes);
  const treated = [untouched, ...undominated(paying)];
  for (const [candidate, one] of treated.entries()) if (candidate > 0) await store(candidate, one);
  const choices = made(treated, reason);
  if (facts.trials === null || treated.length === 1) return { choices, tried: [] };
  const tried = candidatesToTry(choices.candidates, facts.trials);
  for (const candidate of tried) {
    const { effective, bias } = treated[candidate]!;
    const weight = storedAs(table.facts[index]!.dataType, effective);
    await putTrial(blobs, job, { layer: index, candidate }, { weight, bias });
  }
  return { choices, tried };
}

/** Keeps one layer as it is, whatever the recipe says. It reads the weight and nothing else. */
export async function leaveLayer(
  { job, table, blobs }: TreatContext,
  index: number,
  reason: string,
): Promise<TreatedChoices> {
  const facts = table.facts[index]!;
  const nonzero = await nonzeroOf(table.layers[index]!);
  const untouched = untouchedLayer(facts, null, nonzero, UNTOUCHED);
  await storeResult(blobs, resultKey(job, index, 0), untouched.result);
  return { choices: choicesOf(facts.name, [untouched], reason), tried: [] };
}

function choicesOf(layer: string, treated: readonly TreatedLayer[], reason: string | null): LayerChoices {
  const candidates = treated.map(({ candidate }) => candidate);
  return { layer, candidates, influence: null, losses: null, reason };
}
