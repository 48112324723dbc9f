import { searchStrength, TargetUnreachableError, type Wanted } from "../compress/allocate/search.ts";
import { limitsOf } from "../compress/allocate/target.ts";
import type { Decision } from "../compress/treatment.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { JobFailure } from "./failures.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { LayerTable } from "./layer-table.ts";
import { measureModel, needsRun } from "./measure.ts";
import type { CompressionJob, JobHost } from "./pipeline.ts";
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
  readonly table: () => Promise<LayerTable>;
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly steps: StepLog;
}

/** Share of the job's progress at which the search begins, and what it takes at most. */
const BEGIN = 0.15;
const EXTENT = 0.45;
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
  const decided = (strength: number | null, warnings: readonly string[]) =>
    steps.run("allocate", BEGIN + EXTENT, async () => ({
      decisions: await table.decisions(strength),
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
    return await decided(await search(context, table), []);
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

async function search({ job, upload, bench, host, steps }: Context, table: LayerTable): Promise<number> {
  let measured = 0;
  const measure = (strength: number, wanted: readonly Wanted[]) => {
    measured += 1;
    const progress = BEGIN + (EXTENT * Math.min(measured, USUAL_MEASUREMENTS)) / (USUAL_MEASUREMENTS + 1);
    return steps.run(`measure ${measured}`, progress, async () => {
      const results = [];
      for (const decision of await table.decisions(strength)) {
        if (decision.treatment.method !== "none") results.push(await table.compress(decision));
      }
      return { ...(await measureModel(table.assemble(results).model, wanted, bench, host)) };
    });
  };
  const { strength } = await searchStrength({ measure, limits: limitsOf(job.recipe.target, upload) });
  return strength;
}
