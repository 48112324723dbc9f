import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import { validateModel } from "../onnx/validate.ts";
import { zooModel } from "../partition/zoo.ts";
import { openModel } from "./open-model.ts";

/** Stands before the name of a shape-only model. */
const ZOO = "zoo:";

/**
 * A model to plan for, open while it is used: `zoo:<name>`, or a file whose weights need not be there.
 * @throws ZooError, ModelError
 */
export async function withGraph<T>(model: string, use: (model: Model) => Promise<T>): Promise<T> {
  if (model.startsWith(ZOO)) return use(zooModel(model.slice(ZOO.length)));
  const opened = await openModel(model);
  try {
    const read = await readModel(opened.main, { external: opened.external, allowMissingExternal: true });
    validateModel(read);
    return await use(read);
  } finally {
    await opened.close();
  }
}
