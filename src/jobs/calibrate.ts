import { compareWith } from "../evaluate/evaluate.ts";
import { OutputMismatchError } from "../evaluate/fidelity.ts";
import { UnsupportedInputError } from "../evaluate/input-spec.ts";
import type { Reference } from "../evaluate/reference.ts";
import { SyntheticInputError } from "../evaluate/synthetic.ts";
import { RuntimeLoadError, RuntimeRunError } from "../runtime/errors.ts";
import type { CompressionJob } from "./job.ts";
import type { LosslessFacts } from "./simplify-upload.ts";
import type { Workbench } from "./workbench.ts";

/** Whether the upload can be run here, and which model the methods start from. */
export type CalibrationFacts = {
  /** False where onnxruntime-web refuses the upload, or no inputs can be made up for it: nothing is measured then. */
  readonly runs: boolean;
  readonly base: "simplified" | "upload";
  readonly warnings: readonly string[];
};

/** Least R² between upload and simplified model. The passes are lossless but for the order of float sums. */
const LOSSLESS_R2 = 0.9999;

/**
 * Runs the upload on the samples, and checks the simplified model against it where that may round otherwise.
 * @throws SamplesError, or RuntimeRunError when the caller's samples do not suit the model
 */
export async function calibrate(
  job: CompressionJob,
  { exact }: LosslessFacts,
  bench: Workbench,
): Promise<CalibrationFacts> {
  let warnings: readonly string[];
  try {
    warnings = remarksOn(await bench.reference(), job);
  } catch (error) {
    if (!cannotRun(error) || (error instanceof RuntimeRunError && job.calibration !== null)) throw error;
    return {
      runs: false,
      base: "simplified",
      warnings: [`fidelity and latency are not measured: ${error.message}`],
    };
  }
  const doubt = exact ? null : await doubtOf(bench);
  return doubt === null
    ? { runs: true, base: "simplified", warnings }
    : { runs: true, base: "upload", warnings: [...warnings, `the model was not simplified: ${doubt}`] };
}

/** What the samples cannot tell of other inputs; nothing where the recipe changes nothing that they would have to. */
function remarksOn({ heldOut, samples }: Reference, { calibration, recipe }: CompressionJob): string[] {
  if (recipe.methods?.length === 0) return [];
  if (calibration === null) {
    return [
      "no samples were sent: every method saw the weights alone (data-free), and fidelity is that on made-up inputs; " +
        "a few hundred sample inputs of yours give a smaller file and figures to rely on",
    ];
  }
  if (heldOut.size > 0) return [];
  return [
    `${samples} of the samples were used, too few to hold some out: other inputs may lose more than was measured here; ` +
      "six or more are better, a few hundred best",
  ];
}

function cannotRun(error: unknown): error is Error {
  return (
    error instanceof RuntimeLoadError ||
    error instanceof RuntimeRunError ||
    error instanceof SyntheticInputError ||
    error instanceof UnsupportedInputError
  );
}

/** Why the simplified model may not stand in for the upload; null where it may. */
async function doubtOf(bench: Workbench): Promise<string | null> {
  const reference = await bench.reference();
  const simplified = await bench.run(await bench.base("simplified"));
  try {
    const { fidelity } = await compareWith(reference, simplified);
    if (fidelity.min_r2 !== null && fidelity.min_r2 >= LOSSLESS_R2) return null;
    return `its outputs would have moved (least R² ${fidelity.min_r2 ?? "undefined"}); a model with random operators or NaN in its outputs cannot be compared`;
  } catch (error) {
    if (cannotRun(error) || error instanceof OutputMismatchError) return error.message;
    throw error;
  }
}
