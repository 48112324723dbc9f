import type { Fidelity } from "../../schemas/report.ts";
import { compareWith } from "../evaluate/evaluate.ts";
import { makeReference } from "../evaluate/reference.ts";
import { executable } from "../evaluate/segments/executable.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import { inOrder, validateModel } from "../onnx/validate.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { contentOf } from "./file-source.ts";
import { RUN_MEMORY } from "./local-host.ts";
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
  const execution = { runtime, memory: RUN_MEMORY, scratch: null };
  const reference = await withModel(original, (model) =>
    makeReference({ model, original: executable(model, execution), calibration }),
  );
  const { fidelity } = await withModel(other, (model) =>
    compareWith(reference, executable(model, execution)),
  );
  return fidelity;
}

/** Opens a model for as long as `work` takes. */
async function withModel<T>(path: string, work: (model: Model) => Promise<T>): Promise<T> {
  const { main, external, close } = await openModel(path);
  try {
    const model = await readModel(main, { external });
    validateModel(model);
    return await work(inOrder(model));
  } finally {
    await close();
  }
}
