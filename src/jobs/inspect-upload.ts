import { inspectModel } from "../onnx/inspect.ts";
import { validateSparseTensors } from "../onnx/validate.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import { openStored, readStored } from "./stored-model.ts";

/** What a job has to know of its upload. */
export type UploadFacts = {
  /** Bytes of the file, with its external data. */
  readonly bytes: number;
  readonly opset: number;
  readonly nodes: number;
  readonly parameters: number;
  readonly macs: number | null;
};

/** @throws ModelError */
export async function inspectUpload({ model }: CompressionJob, blobs: Blobs): Promise<UploadFacts> {
  const read = await readStored(blobs, model);
  await validateSparseTensors(read);
  const { opset, nodes, parameters, macs } = await inspectModel(read);
  let bytes = 0;
  for (const file of [model, ...Object.values(model.external ?? {})]) {
    bytes += (await openStored(blobs, file)).size;
  }
  return { bytes, opset, nodes, parameters, macs };
}
