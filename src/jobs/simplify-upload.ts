import { simplify } from "../compress/lossless/simplify.ts";
import { encodeModel } from "../onnx/write.ts";
import type { Blobs } from "./job.ts";
import type { Workbench } from "./workbench.ts";

export type LosslessChanges = readonly { readonly pass: string; readonly changes: number }[];

/** The passes that change nothing in the outputs; the simplified model is stored for the steps that follow. */
export async function simplifyUpload(bench: Workbench, blobs: Blobs): Promise<LosslessChanges> {
  const { model, passes } = await simplify(await bench.upload());
  const encoded = encodeModel(model);
  await blobs.put(bench.simplifiedKey, encoded.chunks(), encoded.size);
  return passes.map(({ pass, changes }) => ({ pass, changes }));
}
