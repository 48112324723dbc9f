import { decide, type LayerChoices } from "../compress/allocate/decide.ts";
import {
  type Measurement,
  type SearchResult,
  searchStrength,
  TargetUnreachableError,
  type Wanted,
} from "../compress/allocate/search.ts";
import { limitsOf, objectiveOf, TIME_FOR_BYTES } from "../compress/allocate/target.ts";
import { type Decision, isUntouched } from "../compress/treatment.ts";
import { jumpsOf } from "../onnx/jumps.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { JobFailure } from "./failures.ts";
import { finishedModel } from "./finished-model.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import { readResults } from "./layer-results.ts";
import type { LayerTable } from "./layer-table.ts";
import { measureModel, needsRun } from "./measure.ts";
import type { StepLog } from "./step-log.ts";
import type { Workbench } from "./workbench.ts";

export type Allocation = {
  readonly decisions: readonly Decision[];
  readonly warnings: readonly string[];
};

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly calibration: CalibrationFacts;
  readonly table: LayerTable;
  readonly choices: readonly LayerChoices[];
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly blobs: Blobs;
  readonly steps: StepLog;
}

/** Share of the job's progress at which the search begins, and what it takes at most. */
const BEGIN = 0.5;
const EXTENT = 0.25;
/** Measurements of a search, about. */
const USUAL_MEASUREMENTS = 9;

/**
 * What is done to each layer: what the recipe says, or the strength at which the measured model keeps the recipe's
 * target. Each measurement is a step of its own.
 * @throws TargetUnreachableError, JobFailure
 */
export async function allocate(context: Context): Promise<Allocation> {
  const { job, table, choices, calibration } = context;
  if (table.policy.mode === "explicit") return { decisions: choices.map(asTheRecipeSays), warnings: [] };
  const objective = objectiveOf(job.recipe.target);
  const lossless = (warning: string): Allocation => ({
    decisions: decide(choices, objective, 0),
    warnings: [warning],
  });
  if (!calibration.runs && needsRun(job.recipe)) {
    throw new JobFailure({
      code: "target_unverifiable",
      message: `the target cannot be checked, because the model cannot be run: ${calibration.warnings.join("; ")}`,
    });
  }
  if (!calibration.runs && !hasSizeTarget(job)) {
    return lossless("only lossless changes were made, because fidelity cannot be measured");
  }
  try {
    const { strength, choices: found } = await best(context);
    const decisions = decide(found, objective, strength);
    const some = choices.some(({ candidates }) => candidates.length > 1);
    const none = some && decisions.every(({ candidate }) => candidate === 0);
    return { decisions, warnings: none ? [nothingHeld(table)] : [] };
  } catch (error) {
    // Without a target of the caller's there is nothing that could not be reached.
    if (!(error instanceof TargetUnreachableError) || job.recipe.target !== undefined) throw error;
    return lossless(`only lossless changes were made: ${error.missed}`);
  }
}

/** Why no layer was changed, as far as the graph tells. */
function nothingHeld({ model }: LayerTable): string {
  const jumps = [...jumpsOf(model.graph)].map(
    ([output, types]) =>
      `; output ${JSON.stringify(output)} goes through ${types.join(", ")}, whose results jump at the smallest change`,
  );
  return `no layer was changed, since no change of them keeps the fidelity that was asked for${jumps.join("")}`;
}

/** The one treatment that an explicit recipe names, where there is one. */
function asTheRecipeSays({ layer, candidates, reason }: LayerChoices): Decision {
  const candidate = candidates.length - 1;
  const idle = isUntouched(candidates[candidate]!.treatment);
  return { layer, candidate, reason: reason ?? (idle ? "the recipe names no method for it" : null) };
}

function hasSizeTarget({ recipe: { target } }: CompressionJob): boolean {
  return (
    target?.size_ratio !== undefined || target?.max_bytes !== undefined || target?.macs_ratio !== undefined
  );
}

function hasCostTarget(job: CompressionJob): boolean {
  return hasSizeTarget(job) || job.recipe.target?.latency_ratio !== undefined;
}

interface Found extends SearchResult {
  readonly choices: readonly LayerChoices[];
}

/**
 * Searches twice where it can: by the layers' own errors, and by the losses that single changes were measured to
 * cause. Either may mislead, since losses of several layers do not simply add up; what was measured decides.
 * @throws TargetUnreachableError when neither reaches the target
 */
async function best(context: Context): Promise<Found> {
  const { choices } = context;
  const measured = choices.some(({ losses }) => losses !== null);
  const searches: [string, readonly LayerChoices[]][] = [["by layers", choices.map(withoutLosses)]];
  if (measured) searches.push(["by outputs", withTypicalInfluence(choices)]);
  const found: Found[] = [];
  let missed: TargetUnreachableError | undefined;
  for (const [at, [name, these]] of searches.entries()) {
    const progress = [
      BEGIN + (EXTENT * at) / searches.length,
      BEGIN + (EXTENT * (at + 1)) / searches.length,
    ] as const;
    try {
      found.push({ ...(await search(context, name, these, progress)), choices: these });
    } catch (error) {
      if (!(error instanceof TargetUnreachableError)) throw error;
      missed = error;
    }
  }
  if (found.length === 0) throw missed!;
  return found.reduce((a, b) => (better(b, a, context) ? b : a));
}

function withoutLosses(choices: LayerChoices): LayerChoices {
  return { ...choices, losses: null };
}

/** Layers that were not tried get the factor between loss and layer error under which three quarters of the others lie. */
function withTypicalInfluence(choices: readonly LayerChoices[]): LayerChoices[] {
  const factors = choices
    .flatMap(({ candidates, losses }) => losses?.map((loss, i) => loss / candidates[i]!.error) ?? [])
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const influence = factors[Math.floor(factors.length * 0.75)] ?? 1;
  return choices.map((one) => (one.losses ? one : { ...one, influence }));
}

/** What a choice should save where only fidelity is limited, on the artifact as measured. */
function costOver(upload: UploadFacts): (measurement: Measurement) => number {
  return ({ bytes, macs }) =>
    bytes / upload.bytes + (macs === null || !upload.macs ? 0 : (TIME_FOR_BYTES * macs) / upload.macs);
}

/** Under a limit on size, MACs or latency the better fidelity wins, otherwise the smaller file. */
function better(a: Found, b: Found, { job, upload }: Context): boolean {
  const [x, y] = [a.measurement, b.measurement];
  return hasCostTarget(job) && x.minR2 !== null && y.minR2 !== null
    ? x.minR2 > y.minR2
    : costOver(upload)(x) < costOver(upload)(y);
}

async function search(
  { job, upload, calibration, table, bench, host, blobs, steps }: Context,
  name: string,
  choices: readonly LayerChoices[],
  [begin, end]: readonly [number, number],
): Promise<SearchResult> {
  const objective = objectiveOf(job.recipe.target);
  const costed = hasCostTarget(job);
  let count = 0;
  const measure = (strength: number, wanted: readonly Wanted[], leastR2?: number) => {
    count += 1;
    const done = Math.min(count, USUAL_MEASUREMENTS) / (USUAL_MEASUREMENTS + 1);
    return steps.run(`measure ${name} ${count}`, begin + (end - begin) * done, async () => {
      const results = await readResults(job, blobs, decide(choices, objective, strength));
      const { model } = table.assemble(results);
      // How it is finished changes its size and speed, and next to nothing of its answers.
      const measured = costed ? await finishedModel(model, table, calibration, bench) : model;
      return { ...(await measureModel(measured, wanted, bench, host, leastR2)) };
    });
  };
  return searchStrength({ measure, limits: limitsOf(job.recipe.target, upload), cost: costOver(upload) });
}
