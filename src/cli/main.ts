#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { compressCommand } from "./commands/compress.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { planCommand } from "./commands/plan.ts";
import { serveCommand } from "./commands/serve.ts";
import { verifyCommand } from "./commands/verify.ts";
import { describe, type ErrorJson } from "./errors.ts";

const EXAMPLES = `
Examples:
  hone compress model.onnx -o small.onnx --report report.html
  hone compress model.onnx --sparsity 0.8 --calibration samples.npz --json
  hone plan model.onnx --mix tpu-v3:4,tpu-v2:4 --mode training --batch 512
  hone verify model.onnx small.onnx`;

/** Runs the command line and answers with its exit code: 0 done, 1 failed, 2 wrong usage. */
async function main(argv: string[]): Promise<number> {
  const program = new Command("hone")
    .description(manifest.description)
    .version(manifest.version)
    .addHelpText("after", EXAMPLES);
  for (const command of [
    compressCommand(),
    planCommand(),
    inspectCommand(),
    verifyCommand(),
    serveCommand(),
  ]) {
    program.addCommand(command);
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(`hone: ${text.replace(/^error: /, "").trim()}\n`),
    });
  }
  try {
    await program.parseAsync(argv);
    return process.exitCode === 1 ? 1 : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { code, line, exitCode } = await describe(error);
    if (argv.includes("--json")) {
      const json: ErrorJson = { error: { code, message: line } };
      process.stdout.write(`${JSON.stringify(json)}\n`);
    }
    process.stderr.write(`hone: ${line}\n`);
    if (process.env.HONE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return exitCode;
  }
}

// A reader that has had enough (`hone inspect … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await main(process.argv);
