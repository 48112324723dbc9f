import { pipeline } from "node:stream/promises";
import { Command, Option } from "commander";
import { PlanFormat } from "../../../schemas/plan.ts";
import { type ExportedPlan, exportPlan } from "../../partition/exports/export-plan.ts";
import { engineFor } from "../engine-for.ts";
import {
  addPlanOptions,
  addServerOption,
  mixFrom,
  type PlanFlags,
  planOptionsFrom,
  type ServerFlags,
} from "../options.ts";
import { printJson, writeOutput } from "../output.ts";
import { planHeading, planTable } from "../summary.ts";
import { withGraph } from "../with-graph.ts";

interface Flags extends PlanFlags, ServerFlags {
  readonly mix: string;
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
  return addServerOption(command).action(plan);
}

async function plan(model: string, flags: Flags): Promise<void> {
  const mix = await mixFrom(flags.mix);
  const options = planOptionsFrom(flags);
  const engine = await engineFor(flags);
  const planned = await engine.plan({ model, mix, options });
  if (flags.format) {
    const { format, output } = flags;
    await withGraph(model, async (graph) =>
      write(await exportPlan(format, planned, async () => graph), output),
    );
  } else if (flags.json) printJson(planned);
  else process.stdout.write(`Plan: ${planHeading(planned)}\n${planTable(planned)}\n`);
}

async function write({ content }: ExportedPlan, output: string | undefined): Promise<void> {
  if (output !== undefined) await writeOutput(output, content);
  else if (typeof content === "string") process.stdout.write(content);
  else await pipeline(content, process.stdout, { end: false });
}
