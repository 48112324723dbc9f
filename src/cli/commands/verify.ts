import { readFile } from "node:fs/promises";
import { Command } from "commander";
import type { Fidelity } from "../../../schemas/report.ts";
import { compareWith } from "../../evaluate/evaluate.ts";
import { makeReference } from "../../evaluate/reference.ts";
import type { Model } from "../../onnx/model.ts";
import { readModel } from "../../onnx/read.ts";
import { validateModel } from "../../onnx/validate.ts";
import { modelBytes } from "../../onnx/write.ts";
import { nodeRuntime } from "../../runtime/node.ts";
import { FailedError } from "../errors.ts";
import { reason } from "../file-source.ts";
import { calibrationFormat } from "../local-engine.ts";
import { openModel } from "../open-model.ts";
import { number } from "../options.ts";
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
  const calibration = flags.data === undefined ? null : await samplesOf(flags.data);
  const runtime = await nodeRuntime();
  const { model, bytes } = await loaded(original);
  const reference = await makeReference({ runtime, model, bytes, calibration });
  const { fidelity } = await compareWith(reference, runtime, (await loaded(other)).bytes);
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

async function samplesOf(path: string) {
  const format = calibrationFormat(path);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new FailedError("file", `cannot read ${path}: ${reason(error)}`);
  });
  return { bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), format };
}

async function loaded(path: string): Promise<{ model: Model; bytes: Uint8Array }> {
  const { main, external, close } = await openModel(path);
  try {
    const model = await readModel(main, { external });
    validateModel(model);
    return { model, bytes: await modelBytes(model) };
  } finally {
    await close();
  }
}
