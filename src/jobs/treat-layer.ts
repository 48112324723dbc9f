import type { LayerChoices } from "../compress/allocate/decide.ts";
import { candidatesToTry } from "../compress/allocate/probe.ts";
import { treatmentsFor } from "../compress/allocate/treatments.ts";
import { undominated } from "../compress/allocate/undominated.ts";
import type { LayerTreater } from "../compress/layer-treater.ts";
import { untouchedLayer } from "../compress/treated-layer.ts";
import { type Candidate, UNTOUCHED } from "../compress/treatment.ts";
import { storedAs } from "../compress/weight.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import { LayerBlocks } from "./layer-blocks.ts";
import { resultKey, storeResult } from "./layer-results.ts";
import { type LayerTable, nonzeroOf } from "./layer-table.ts";
import type { MemoryAccount } from "./memory-account.ts";
import { openTreater } from "./open-treater.ts";
import { copyBlob } from "./put-bytes.ts";
import { readOffers, type StoredOffer } from "./share-bases.ts";
import { putTrial, type TrialWeights } from "./trial-file.ts";

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
  readonly memory: MemoryAccount;
}

const UNREACHED = "it is part of a branch or loop, and whether the samples reach it could not be found out";

/**
 * Makes everything that may be done to one layer, each result a blob of its own, and the weights with which some of it is to be tried.
 * It reads this layer alone and runs no model.
 */
export async function treatLayer(context: TreatContext, index: number): Promise<TreatedChoices> {
  const { table, facts, blobs, memory } = context;
  const layer = table.facts[index]!.name;
  const blocks = LayerBlocks.of(context, index);
  if (blocks) return { choices: await blocks.treat(), tried: [] };
  const treater = await openTreater(
    { ...context, ...facts },
    index,
    await readOffers(blobs, facts.offers, layer),
  );
  try {
    return await memory.holding(treater.workingBytes, () => treatWhole(context, index, treater));
  } finally {
    treater.close();
  }
}

async function treatWhole(
  { job, table, facts, blobs }: TreatContext,
  index: number,
  treater: LayerTreater,
): Promise<TreatedChoices> {
  const layer = table.facts[index]!.name;
  const untouched = treater.treat(UNTOUCHED);
  await storeResult(blobs, resultKey(job, index, 0), untouched.result);
  const { treatments, reason } = treatmentsFor(treater, table.policy, layer);
  const made = (candidates: readonly Candidate[], why = reason): LayerChoices =>
    choicesOf(layer, [untouched.candidate, ...candidates], why);
  if (table.policy.mode === "explicit") {
    const candidates: Candidate[] = [];
    for (const treatment of treatments.slice(0, 1)) {
      const { result, candidate } = treater.treat(treatment);
      await storeResult(blobs, resultKey(job, index, 1), result);
      candidates.push(candidate);
    }
    return { choices: made(candidates), tried: [] };
  }
  if (facts.trials === null && table.conditional(index)) return { choices: made([], UNREACHED), tried: [] };
  // Results wait as blobs until it is known which of them are worth it; a weight that is to be tried is small.
  const paying: { candidate: Candidate; at: string; weights: TrialWeights | null }[] = [];
  for (const [t, treatment] of treatments.entries()) {
    if (treatment.form !== null && treater.slows(treatment.form)) continue;
    const treated = treater.treat(treatment);
    const { result, candidate, bias } = treated;
    if (candidate.bytes >= untouched.candidate.bytes) continue;
    const at = `${job.prefix}layers/${index}/made/${t}`;
    await storeResult(blobs, at, result);
    const weight = facts.trials === null ? null : storedAs(table.facts[index]!.dataType, treated.effective);
    paying.push({ candidate, at, weights: weight && { weight, bias } });
  }
  const kept = undominated(paying);
  for (const [i, { at }] of kept.entries()) await copyBlob(blobs, at, resultKey(job, index, i + 1));
  for (const { at } of paying) await blobs.delete(at);
  const choices = made(kept.map(({ candidate }) => candidate));
  if (facts.trials === null || kept.length === 0) return { choices, tried: [] };
  const tried = candidatesToTry(choices.candidates, facts.trials);
  for (const candidate of tried) {
    await putTrial(blobs, job, { layer: index, candidate }, kept[candidate - 1]!.weights!);
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
  return { choices: choicesOf(facts.name, [untouched.candidate], reason), tried: [] };
}

function choicesOf(layer: string, candidates: readonly Candidate[], reason: string | null): LayerChoices {
  return { layer, candidates, influence: null, losses: null, reason };
}
