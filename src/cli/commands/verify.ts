import { Command } from "commander";
import type { Fidelity } from "../../../schemas/report.ts";
import { number, samplesFile } from "../options.ts";
import { printJson } from "../output.ts";
import { fidelityTable } from "../summary.ts";

interface Flags {
  readonly data?: string;
  readonly minFidelity?: number;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("run two models on the same inputs and compare their outputs")
    .argument("<original>", "the model that is right")
    .argument("<other>", "the model that is compared with it")
    .option("--data <file>", "sample inputs: .npz, .npy or .safetensors (default: made-up inputs)")
    .option("--min-fidelity <r2>", "fail (exit code 1) when an output's R² is below", number)
    .option("--json", "print one JSON object")
    .action(verify);
}

async function verify(original: string, other: string, flags: Flags): Promise<void> {
  const samples = flags.data === undefined ? null : samplesFile(flags.data);
  const { fidelityOf } = await import("../verify.ts");
  const fidelity = await fidelityOf(original, other, samples);
  if (flags.json) printJson(fidelity);
  else process.stdout.write(`${heading(fidelity)}\n${fidelityTable(fidelity)}\n`);
  const { minFidelity } = flags;
  if (minFidelity !== undefined && !(fidelity.min_r2 !== null && fidelity.min_r2 >= minFidelity)) {
    const least = fidelity.min_r2 ?? "undefined";
    process.stderr.write(`hone: the least R² is ${least}, below ${minFidelity}\n`);
    process.exitCode = 1;
  }
}

function heading({ samples, data }: Fidelity): string {
  return `Fidelity on ${samples} ${data === "calibration" ? "given" : "made-up"} samples`;
}
