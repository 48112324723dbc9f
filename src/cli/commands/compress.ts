import { basename, extname } from "node:path";
import { Command } from "commander";
import type { Compressed } from "../engine.ts";
import { engineFor } from "../engine-for.ts";
import { UsageError } from "../errors.ts";
import {
  addPlanOptions,
  addRecipeOptions,
  addServerOption,
  mixFrom,
  type PlanFlags,
  planOptionsFrom,
  type RecipeFlags,
  recipeFrom,
  type ServerFlags,
  samplesFile,
} from "../options.ts";
import { printJson, writeOutput } from "../output.ts";
import { progressOn } from "../progress.ts";
import { fidelityTable, planHeading, planTable, reportTable } from "../summary.ts";

interface Flags extends RecipeFlags, PlanFlags, ServerFlags {
  readonly output?: string;
  readonly calibration?: string;
  readonly plan?: string;
  readonly report?: string;
  readonly json?: boolean;
}

export function compressCommand(): Command {
  const command = new Command("compress")
    .description("make a model smaller and faster; with no recipe Hone chooses under a fidelity guard")
    .argument("<model>", ".onnx, or a .zip or .tar of a model and its external data")
    .option("-o, --output <file>", "where the artifact goes (default: <model>.hone.onnx in this folder)")
    .option("--calibration <file>", "sample inputs: .npz, .npy or .safetensors");
  addRecipeOptions(command).option("--mix <mix>", "accelerators to plan for, as tpu-v3:4,tpu-v2:4");
  addPlanOptions(command)
    .option("--plan <file>", "write the plan (JSON) here")
    .option("--report <file>", "write the report here, .html or .json")
    .option("--json", "print one JSON object: artifact, report and plan");
  return addServerOption(command).action(compress);
}

async function compress(model: string, flags: Flags): Promise<void> {
  if (flags.plan && flags.mix === undefined) throw new UsageError("--plan needs a --mix to plan for");
  if (flags.report && !/\.(html|json)$/i.test(flags.report)) {
    throw new UsageError("--report: the file's name has to end in .html or .json");
  }
  const request = {
    model,
    recipe: await recipeFrom(flags),
    calibration: flags.calibration === undefined ? null : samplesFile(flags.calibration),
    mix: flags.mix === undefined ? null : await mixFrom(flags.mix),
    plan: planOptionsFrom(flags),
    output: flags.output ?? `${basename(model, extname(model))}.hone.onnx`,
  };
  const progress = progressOn(process.stderr);
  const engine = await engineFor(flags);
  const compressed = await engine
    .compress(request, (...state) => progress.update(...state))
    .finally(() => progress.done());
  await writeResults(compressed, flags);
  if (flags.json) printJson(compressed);
  else process.stdout.write(`${summary(compressed)}\n`);
}

async function writeResults({ report, plan }: Compressed, flags: Flags): Promise<void> {
  if (flags.plan && plan) await writeOutput(flags.plan, `${JSON.stringify(plan, null, 2)}\n`);
  if (!flags.report) return;
  if (/\.json$/i.test(flags.report)) {
    await writeOutput(flags.report, `${JSON.stringify(report, null, 2)}\n`);
  } else {
    const { reportPage } = await import("../../evaluate/report-page.ts");
    const { planPicture } = await import("../../partition/picture.ts");
    await writeOutput(flags.report, reportPage(report, plan, plan && planPicture(plan)));
  }
}

function summary({ artifact, report, plan }: Compressed): string {
  const parts = [reportTable(report)];
  if (report.fidelity) {
    const { data, samples } = report.fidelity;
    parts.push(`Fidelity on ${samples} ${data} samples\n${fidelityTable(report.fidelity)}`);
  }
  if (plan) parts.push(`Plan: ${planHeading(plan)}\n${planTable(plan)}`);
  if (report.warnings.length > 0) parts.push(report.warnings.map((warning) => `! ${warning}`).join("\n"));
  parts.push(`Artifact: ${artifact.path}`);
  return parts.join("\n\n");
}
