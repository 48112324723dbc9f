import { Command } from "commander";
import { engineFor } from "../engine-for.ts";
import { addServerOption, type ServerFlags } from "../options.ts";
import { printJson } from "../output.ts";
import { modelTable } from "../summary.ts";

export function inspectCommand(): Command {
  const command = new Command("inspect")
    .description("show a model's inputs, outputs and layers")
    .argument("<model>", ".onnx, or a .zip or .tar of a model and its external data")
    .option("--json", "print one JSON object");
  return addServerOption(command).action(async (model: string, flags: ServerFlags & { json?: boolean }) => {
    const summary = await (await engineFor(flags)).inspect(model);
    if (flags.json) printJson(summary);
    else process.stdout.write(`${modelTable(summary)}\n`);
  });
}
