import type { LayerChoices } from "../compress/allocate/decide.ts";
import { expectedLosses, type Trial } from "../compress/allocate/probe.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { MomentsFacts } from "./gather-moments.ts";
import type { Blobs, CompressionJob, JobHost, StoredModel } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import { readTreated, writeLayerFile } from "./layer-tasks.ts";
import { OutputProbe } from "./output-probe.ts";
import { shareBases } from "./share-bases.ts";
import type { StepLog } from "./step-log.ts";
import type { TreatedChoices } from "./treat-layer.ts";
import { readTrial } from "./trial-file.ts";
import { lazy, type Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly calibration: CalibrationFacts;
  readonly moments: MomentsFacts;
  readonly table: LayerTable;
  /** Where the table's model lies. */
  readonly model: StoredModel;
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
/** Share of this stage's progress that the treatments take; the trials take the rest. */
const TREATING = 0.75;

/**
 * Makes everything that may be done to each layer, and measures what some of it does to the outputs. The treatments know nothing of
 * each other; the trials share one session of the model.
 */
export async function treatLayers(context: Context): Promise<LayerChoices[]> {
  const { job, table, model, moments, host, blobs, bench, calibration, steps } = context;
  const [begin, end] = context.progress;
  const middle = begin + TREATING * (end - begin);
  const count = table.layers.length;
  const probe = lazy(() => OutputProbe.open(table, bench, context.macs));
  try {
    const { trials } =
      calibration.runs && table.policy.mode !== "explicit"
        ? await steps.run("prepare trials", begin, async () => ({ trials: (await probe())?.trials ?? null }))
        : { trials: null };
    const globalRatios = table.hasGlobalRatio
      ? await steps.run("share zeros", begin, () => table.globalRatios())
      : {};
    const offers = await shareBases({ ...context, globalRatios }, begin);
    const facts = { moments, offers, globalRatios, trials };
    await steps.run("give out layers", begin, () =>
      writeLayerFile(blobs, job, { recipe: job.recipe, model, facts }),
    );
    const bytes = table.facts.map((layer) => layer.bytes);
    await host.treatLayers({ prefix: job.prefix, model, bytes, progress: [begin, middle] });
    const treated: TreatedChoices[] = [];
    for (const index of table.layers.keys()) {
      const { value, cost } = await readTreated(blobs, job, index);
      steps.add(cost);
      treated.push(value);
    }
    const choices: LayerChoices[] = [];
    for (const [index, one] of treated.entries()) {
      const progress = middle + ((end - middle) * index) / count;
      choices.push(
        trials === null || one.choices.candidates.length === 1
          ? one.choices
          : await steps.run(`try ${index + 1} of ${count}`, progress, async () =>
              tryOut(context, (await probe())!, index, one),
            ),
      );
    }
    return choices;
  } finally {
    await (await probe.made)?.close();
  }
}

/** The choices with the losses that the layer's trials foretell; the layer as it is, where the samples do not use it. */
async function tryOut(
  { job, blobs }: Context,
  probe: OutputProbe,
  index: number,
  { choices, tried }: TreatedChoices,
): Promise<LayerChoices> {
  const trials: Trial[] = [];
  let used = tried.length === 0;
  for (const candidate of tried) {
    const weights = await readTrial(blobs, job, { layer: index, candidate }, probe.weight(index));
    const { loss, differs } = await probe.loss(index, weights);
    used ||= differs;
    trials.push({ candidate, loss });
  }
  if (!used) return { ...choices, candidates: choices.candidates.slice(0, 1), reason: UNUSED };
  if (trials.length === 0) return choices;
  return { ...choices, losses: expectedLosses(choices.candidates, trials) };
}
