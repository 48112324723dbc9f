import { accelerate } from "../compress/fast/accelerate.ts";
import { compactNames } from "../compress/lossless/compact-names.ts";
import type { Model } from "../onnx/model.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { LayerTable } from "./layer-table.ts";
import type { Workbench } from "./workbench.ts";

/**
 * What is done to a model when its layers are done. Where the recipe leaves open what is done, large convolutions are
 * rewritten so that they take fewer multiplications, and names that only the file itself knows are shortened.
 */
export async function finishedModel(
  model: Model,
  { policy }: LayerTable,
  { runs }: CalibrationFacts,
  bench: Workbench,
): Promise<Model> {
  if (policy.mode === "explicit") return model;
  return compactNames(runs ? await accelerated(model, bench) : model);
}

async function accelerated(model: Model, bench: Workbench): Promise<Model> {
  // Shapes of one sample, for inputs whose declared sizes are open.
  const { single } = await bench.reference();
  const inputShapes = Object.fromEntries(Object.entries(single).map(([name, { dims }]) => [name, dims]));
  return (await accelerate(model, { inputShapes })).model;
}
