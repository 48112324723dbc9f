import type { LayerChoices } from "../compress/allocate/decide.ts";
import {
  type SearchResult,
  searchStrength,
  TargetUnreachableError,
  type Wanted,
} from "../compress/allocate/search.ts";
import { limitsOf } from "../compress/allocate/target.ts";
import type { Decision } from "../compress/treatment.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { JobFailure } from "./failures.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import { measureModel, needsRun } from "./measure.ts";
import { probeLayers } from "./probe-layers.ts";
import type { StepLog } from "./step-log.ts";
import { lazy, type Workbench } from "./workbench.ts";

export type Allocation = {
  readonly decisions: readonly Decision[];
  readonly warnings: readonly string[];
};

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly calibration: CalibrationFacts;
  readonly table: () => Promise<LayerTable>;
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly blobs: Blobs;
  readonly steps: StepLog;
}

/** Share of the job's progress at which the search begins, and what it takes at most. */
const PROBE = 0.15;
const BEGIN = 0.25;
const EXTENT = 0.35;
/** Measurements of a search, about. */
const USUAL_MEASUREMENTS = 9;

/**
 * What is done to each layer: what the recipe says, or the strength at which the measured model keeps the recipe's
 * target. Each measurement is a step of its own.
 * @throws TargetUnreachableError, JobFailure, UnsupportedRecipeError, UnknownLayerError
 */
export async function allocate(context: Context): Promise<Allocation> {
  const { job, steps, calibration } = context;
  const table = await context.table();
  const decided = (strength: number | null, warnings: readonly string[], choices: Choices = table.choices) =>
    steps.run("allocate", BEGIN + EXTENT, async () => ({
      decisions: table.decisions(await choices(), strength),
      warnings,
    }));
  if (table.policy.mode === "explicit") return decided(null, []);
  const sized = hasSizeTarget(job);
  if (!calibration.runs && needsRun(job.recipe)) {
    throw new JobFailure({
      code: "target_unverifiable",
      message: `the target cannot be checked, because the model cannot be run: ${calibration.warnings.join("; ")}`,
    });
  }
  if (!calibration.runs && !sized) {
    return decided(0, ["only lossless changes were made, because fidelity cannot be measured"]);
  }
  try {
    const { strength, choices } = await best(context, table);
    return await decided(strength, [], choices);
  } catch (error) {
    // Without a target of the caller's there is nothing that could not be reached.
    if (!(error instanceof TargetUnreachableError) || job.recipe.target !== undefined) throw error;
    return decided(0, [`only lossless changes were made: ${error.missed}`]);
  }
}

function hasSizeTarget({ recipe: { target } }: CompressionJob): boolean {
  return (
    target?.size_ratio !== undefined || target?.max_bytes !== undefined || target?.macs_ratio !== undefined
  );
}

type Choices = () => Promise<readonly LayerChoices[]>;

interface Found extends SearchResult {
  readonly choices: Choices;
}

/**
 * Searches twice where it can: by the weights' own errors, and by the losses that single changes were measured to
 * cause. Either may mislead, since losses of several layers do not simply add up; what was measured decides.
 * @throws TargetUnreachableError when neither reaches the target
 */
async function best(context: Context, table: LayerTable): Promise<Found> {
  const found: Found[] = [];
  let missed: TargetUnreachableError | undefined;
  const measured = await measuredChoices(context, table);
  const byWeights =
    measured === null ? () => table.unconditional() : async () => (await measured()).map(withoutLosses);
  for (const [name, choices] of [
    ["by weights", byWeights],
    ["by outputs", measured],
  ] as const) {
    if (choices === null) continue;
    try {
      found.push({ ...(await search(context, table, name, choices)), choices });
    } catch (error) {
      if (!(error instanceof TargetUnreachableError)) throw error;
      missed = error;
    }
  }
  if (found.length === 0) throw missed!;
  return found.reduce((a, b) => (better(b, a, context.job) ? b : a));
}

/** The same candidates: a layer that the samples were found not to use stays as it is in either search. */
function withoutLosses({ losses: _losses, influence: _influence, ...choices }: LayerChoices): LayerChoices {
  return choices;
}

/** Under a limit on size, MACs or latency the better fidelity wins, otherwise the smaller file. */
function better(a: Found, b: Found, job: CompressionJob): boolean {
  const [x, y] = [a.measurement, b.measurement];
  const costed = hasSizeTarget(job) || job.recipe.target?.latency_ratio !== undefined;
  return costed && x.minR2 !== null && y.minR2 !== null ? x.minR2 > y.minR2 : x.bytes < y.bytes;
}

/** The layers' choices with their measured losses; null where the model does not run or cannot be probed. */
async function measuredChoices(
  { job, upload, calibration, bench, host, blobs, steps }: Context,
  table: LayerTable,
): Promise<Choices | null> {
  if (!calibration.runs) return null;
  const probed = await steps.run("probe", PROBE, () =>
    probeLayers({ job, table, bench, host, blobs, macs: upload.macs }),
  );
  if (probed === null) return null;
  return lazy(async () => {
    const source = await blobs.open(probed.key);
    return JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as LayerChoices[];
  });
}

async function search(
  { job, upload, bench, host, steps }: Context,
  table: LayerTable,
  name: "by weights" | "by outputs",
  choices: Choices,
): Promise<SearchResult> {
  let measured = 0;
  const measure = (strength: number, wanted: readonly Wanted[]) => {
    measured += 1;
    const done = Math.min(measured, USUAL_MEASUREMENTS) / (USUAL_MEASUREMENTS + 1);
    const progress = BEGIN + (EXTENT / 2) * (name === "by weights" ? done : 1 + done);
    return steps.run(`measure ${name} ${measured}`, progress, async () => {
      const results = [];
      for (const decision of table.decisions(await choices(), strength)) {
        if (decision.treatment.method !== "none") results.push(await table.compress(decision));
      }
      return { ...(await measureModel(table.assemble(results).model, wanted, bench, host)) };
    });
  };
  return searchStrength({ measure, limits: limitsOf(job.recipe.target, upload) });
}
