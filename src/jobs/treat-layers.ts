import type { LayerChoices } from "../compress/allocate/decide.ts";
import { candidatesToTry, expectedLosses, type Trial } from "../compress/allocate/probe.ts";
import { treatmentsFor } from "../compress/allocate/treatments.ts";
import { undominated } from "../compress/allocate/undominated.ts";
import type { TreatedLayer } from "../compress/layer-treater.ts";
import { encodeResult } from "../compress/result-file.ts";
import { type Candidate, UNTOUCHED } from "../compress/treatment.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import { LayerBlocks } from "./layer-blocks.ts";
import { resultKey } from "./layer-results.ts";
import type { LayerTable } from "./layer-table.ts";
import { openTreater } from "./open-treater.ts";
import { OutputProbe } from "./output-probe.ts";
import { readOffers, type StoredOffer, shareBases } from "./share-bases.ts";
import type { StepLog } from "./step-log.ts";
import { lazy, type Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly calibration: CalibrationFacts;
  readonly moments: MomentsFacts;
  readonly table: LayerTable;
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly blobs: Blobs;
  readonly steps: StepLog;
  /** Of one run of the upload; null where they cannot be counted. */
  readonly macs: number | null;
  /** Share of the job's progress at which it begins and ends. */
  readonly progress: readonly [number, number];
}

const UNUSED = "the samples never use it, so that the effect of a change cannot be measured";
const UNREACHED = "it is part of a branch or loop, and whether the samples reach it could not be found out";

/**
 * Makes everything that may be done to each layer, each result a blob of its own, and measures what some of it does to
 * the outputs. A durable step a layer, after one for each basis that a stage shares.
 */
export async function treatLayers(context: Context): Promise<LayerChoices[]> {
  const { table, host, bench, calibration, steps } = context;
  const [begin, end] = context.progress;
  const explicit = table.policy.mode === "explicit";
  const probe = lazy(() =>
    calibration.runs && !explicit
      ? OutputProbe.open(table, bench, host, context.macs)
      : Promise.resolve(null),
  );
  const offers = await shareBases(context, begin);
  const choices: LayerChoices[] = [];
  try {
    for (const index of table.layers.keys()) {
      const progress = begin + ((end - begin) * index) / table.layers.length;
      choices.push(
        await steps.run(`treat ${index + 1} of ${table.layers.length}`, progress, () =>
          treatLayer(context, index, offers, probe),
        ),
      );
    }
  } finally {
    await (await probe())?.close();
  }
  return choices;
}

async function treatLayer(
  context: Context,
  index: number,
  offers: readonly StoredOffer[],
  probe: () => Promise<OutputProbe | null>,
): Promise<LayerChoices> {
  const { job, table, blobs } = context;
  const layer = table.facts[index]!.name;
  const store = async (candidate: number, { result }: TreatedLayer) => {
    const encoded = encodeResult(result);
    await blobs.put(resultKey(job, index, candidate), encoded.chunks(), encoded.size);
  };
  const blocks = LayerBlocks.of(context, index);
  if (blocks) return blocks.treat();
  const treater = await openTreater(context, index, await readOffers(blobs, offers, layer));
  const untouched = treater.treat(UNTOUCHED);
  await store(0, untouched);
  const only = (candidates: readonly Candidate[], reason: string | null): LayerChoices => ({
    layer,
    candidates,
    influence: null,
    losses: null,
    reason,
  });
  const { treatments, reason } = treatmentsFor(treater, table.policy, layer);
  if (table.policy.mode === "explicit") {
    const [treatment] = treatments;
    if (!treatment) return only([untouched.candidate], reason);
    const treated = treater.treat(treatment);
    await store(1, treated);
    return only([untouched.candidate, treated.candidate], reason);
  }
  const measured = await probe();
  if (measured === null && table.conditional(index)) {
    return only([untouched.candidate], UNREACHED);
  }
  const paying = treatments
    .filter(({ form }) => form === null || !treater.slows(form))
    .map((treatment) => treater.treat(treatment))
    .filter(({ candidate }) => candidate.bytes < untouched.candidate.bytes);
  const treated = [untouched, ...undominated(paying)];
  for (const [candidate, one] of treated.entries()) if (candidate > 0) await store(candidate, one);
  const candidates = treated.map((one) => one.candidate);
  if (measured === null || candidates.length === 1) return only(candidates, reason);
  const tried = candidatesToTry(candidates, measured.trials);
  const trials: Trial[] = [];
  let used = tried.length === 0;
  for (const candidate of tried) {
    const { loss, differs } = await measured.loss(index, treated[candidate]!);
    used ||= differs;
    trials.push({ candidate, loss });
  }
  if (!used) return only([untouched.candidate], UNUSED);
  const losses = trials.length === 0 ? null : expectedLosses(candidates, trials);
  return { ...only(candidates, reason), losses };
}
