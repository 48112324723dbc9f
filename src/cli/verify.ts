import type { Fidelity } from "../../schemas/report.ts";
import { compareWith } from "../evaluate/evaluate.ts";
import { makeReference } from "../evaluate/reference.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import { validateModel } from "../onnx/validate.ts";
import { modelBytes } from "../onnx/write.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { contentOf } from "./file-source.ts";
import { openModel } from "./open-model.ts";
import type { SamplesFile } from "./options.ts";

/** How far the outputs of another model are from those of the original, on the samples or on made-up inputs. */
export async function fidelityOf(
  original: string,
  other: string,
  samples: SamplesFile | null,
): Promise<Fidelity> {
  const calibration = samples && { bytes: await contentOf(samples.path), format: samples.format };
  const runtime = await nodeRuntime();
  const { model, bytes } = await loaded(original);
  const reference = await makeReference({ runtime, model, bytes, calibration });
  const { fidelity } = await compareWith(reference, runtime, (await loaded(other)).bytes);
  return fidelity;
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
