import { pipeline } from "node:stream/promises";
import { Command, Option } from "commander";
import { type Plan, PlanFormat, type PlanVerification } from "../../../schemas/plan.ts";
import { type ExportedPlan, exportPlan } from "../../partition/exports/export-plan.ts";
import { engineFor } from "../engine-for.ts";
import { UsageError } from "../errors.ts";
import type { planFile } from "../execute-plan.ts";
import {
  addPlanOptions,
  addServerOption,
  mixFrom,
  type PlanFlags,
  planOptionsFrom,
  type SamplesFile,
  type ServerFlags,
  samplesFile,
} from "../options.ts";
import { printJson, writeOutput } from "../output.ts";
import { planHeading, planTable, verificationLine } from "../summary.ts";
import { withGraph } from "../with-graph.ts";

interface Flags extends PlanFlags, ServerFlags {
  readonly mix: string;
  readonly verify?: boolean;
  readonly shards?: string;
  readonly data?: string;
  readonly json?: boolean;
  readonly format?: PlanFormat;
  readonly output?: string;
}

export function planCommand(): Command {
  const command = new Command("plan")
    .description("split a model over unlike accelerators, against four baselines")
    .argument("<model>", "an ONNX file, or zoo:<name> for a shape-only model (zoo:alexnet, zoo:resnet-50, …)")
    .requiredOption("--mix <mix>", "accelerators to plan for, as tpu-v3:4,tpu-v2:4");
  addPlanOptions(command)
    .option(
      "--verify",
      "run the plan on virtual devices and compare it with the whole model (exit code 1 when it differs)",
    )
    .option("--shards <folder>", "write the devices' ONNX models and a manifest here")
    .option("--data <file>", "sample inputs for both: .npz, .npy or .safetensors (default: made-up inputs)")
    .option("--json", "print the plan as one JSON object")
    .addOption(
      new Option(
        "--format <format>",
        "the plan as JSON, as a picture, as Python for JAX or PyTorch, or as a copy of the model with ONNX's annotations",
      )
        .choices(PlanFormat.options)
        .conflicts("json"),
    )
    .option("--output <file>", "where the plan goes in that format; standard output where nothing is said");
  return addServerOption(command).action(makePlan);
}

async function makePlan(model: string, flags: Flags): Promise<void> {
  const mix = await mixFrom(flags.mix);
  const options = planOptionsFrom(flags);
  const executed = flags.verify === true || flags.shards !== undefined;
  if (flags.data !== undefined && !executed) throw new UsageError("--data is for --verify and --shards");
  if (executed && model.startsWith("zoo:")) {
    throw new UsageError(
      `${model} has shapes only and no weights, so that it cannot be run; give an ONNX file`,
    );
  }
  const samples = flags.data === undefined ? null : samplesFile(flags.data);
  const plan =
    executed && !flags.api
      ? await planForInputs(model, mix, options, samples)
      : await (await engineFor(flags)).plan({ model, mix, options });
  const verification = flags.verify ? await verified(model, plan, samples) : undefined;
  if (flags.shards !== undefined) {
    const { writeShards } = await import("../execute-plan.ts");
    await writeShards(model, plan, samples, flags.shards);
  }
  const planned = verification ? { ...plan, verification } : plan;
  if (flags.format) {
    const { format, output } = flags;
    await withGraph(model, async (graph) =>
      write(await exportPlan(format, planned, async () => graph), output),
    );
    if (output !== undefined) process.stdout.write(`Plan: ${planHeading(planned)}\nWrote ${output}\n`);
  } else if (flags.json) printJson(planned);
  else process.stdout.write(`Plan: ${planHeading(planned)}\n${planTable(planned)}\n`);
  if (verification && verification.status !== "passed") {
    process.stderr.write(`hone: ${verificationLine(verification)}\n`);
    process.exitCode = 1;
  }
}

async function planForInputs(...request: Parameters<typeof planFile>): Promise<Plan> {
  const { planFile } = await import("../execute-plan.ts");
  return planFile(...request);
}

/** Loaded late: it brings the runtime. */
async function verified(model: string, plan: Plan, samples: SamplesFile | null): Promise<PlanVerification> {
  const { verifyFile } = await import("../execute-plan.ts");
  return verifyFile(model, plan, samples);
}

async function write({ content }: ExportedPlan, output: string | undefined): Promise<void> {
  if (output !== undefined) await writeOutput(output, content);
  else if (typeof content === "string") process.stdout.write(content);
  else await pipeline(content, process.stdout, { end: false });
}
