import { Command } from "commander";
import { engineFor } from "../engine-for.ts";
import {
  addPlanOptions,
  addServerOption,
  mixFrom,
  type PlanFlags,
  planOptionsFrom,
  type ServerFlags,
} from "../options.ts";
import { printJson } from "../output.ts";
import { planHeading, planTable } from "../summary.ts";

interface Flags extends PlanFlags, ServerFlags {
  readonly mix: string;
  readonly json?: boolean;
}

export function planCommand(): Command {
  const command = new Command("plan")
    .description("split a model over unlike accelerators, against four baselines")
    .argument("<model>", "an ONNX file, or zoo:<name> for a shape-only model (zoo:alexnet, zoo:resnet-50, …)")
    .requiredOption("--mix <mix>", "accelerators to plan for, as tpu-v3:4,tpu-v2:4");
  addPlanOptions(command).option("--json", "print the plan as one JSON object");
  return addServerOption(command).action(plan);
}

async function plan(model: string, flags: Flags): Promise<void> {
  const mix = await mixFrom(flags.mix);
  const options = planOptionsFrom(flags);
  const engine = await engineFor(flags);
  const planned = await engine.plan({ model, mix, options });
  if (flags.json) printJson(planned);
  else process.stdout.write(`Plan: ${planHeading(planned)}\n${planTable(planned)}\n`);
}
