import type { Recipe } from "../../schemas/recipe.ts";
import type { Measurement, Wanted } from "../compress/allocate/search.ts";
import { compareAbove, compareWith, latencyOf } from "../evaluate/evaluate.ts";
import { inspectModel } from "../onnx/inspect.ts";
import type { Model } from "../onnx/model.ts";
import { modelSize } from "../onnx/write.ts";
import type { JobHost } from "./job.ts";
import type { Workbench } from "./workbench.ts";

/** Milliseconds that one latency measurement of a search may take. */
const LATENCY_BUDGET = 3000;

/** Measures an assembled model against the upload, as far as is wanted; below `leastR2` it may leave R² null. */
export async function measureModel(
  model: Model,
  wanted: readonly Wanted[],
  bench: Workbench,
  host: JobHost,
  leastR2?: number,
): Promise<Measurement> {
  const bytes = modelSize(model);
  const { macs } = await inspectModel(model);
  if (wanted.every((figure) => figure === "size")) {
    return { bytes, macs, latencyRatio: null, minR2: null, top1: null };
  }
  const reference = await bench.reference();
  const candidate = await bench.run(model);
  let latencyRatio: number | null = null;
  if (wanted.includes("latency")) {
    const upload = await bench.run(await bench.upload());
    const options = { now: () => host.now(), budget: LATENCY_BUDGET };
    const latency = await latencyOf(reference, upload, candidate, options);
    latencyRatio = latency && latency.compressed / latency.original;
  }
  if (!wanted.includes("fidelity")) return { bytes, macs, latencyRatio, minR2: null, top1: null };
  const comparison =
    leastR2 === undefined
      ? await compareWith(reference, candidate)
      : await compareAbove(leastR2, reference, candidate);
  if (comparison === null) return { bytes, macs, latencyRatio, minR2: null, top1: null };
  const { expected } = comparison;
  return { bytes, macs, latencyRatio, minR2: expected.r2, top1: expected.top1 };
}

/** Whether the recipe promises something that only a run of the model can tell. */
export function needsRun({ target }: Recipe): boolean {
  return target?.min_fidelity !== undefined || target?.latency_ratio !== undefined;
}
