import type { Plan } from "../../../schemas/plan.ts";
import { syntheticSamples } from "../../evaluate/synthetic.ts";
import { walkGraphs } from "../../onnx/edit.ts";
import type { Model } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, Runtime } from "../../runtime/runtime.ts";

/** Samples that are shared out at most. */
const MOST_SAMPLES = 8;

/**
 * As many samples as a batch has, up to a limit, all of one shape.
 *
 * @param samples inputs of one sample each; null for made-up ones
 * @throws SyntheticInputError where no input can be made up
 */
export async function sampleFeeds(
  model: Model,
  runtime: Runtime,
  samples: readonly Feeds[] | null,
  batch: Plan["batch"],
): Promise<readonly Feeds[]> {
  const count = Math.min(batch, MOST_SAMPLES);
  if (samples && samples.length > 0) {
    const shape = (feed: Feeds) =>
      JSON.stringify(Object.entries(feed).map(([name, { dims }]) => [name, dims]));
    const first = shape(samples[0] as Feeds);
    return samples.filter((feed) => shape(feed) === first).slice(0, count);
  }
  const session = await runtime.load(await modelBytes(model));
  try {
    return await syntheticSamples(model, session, count);
  } finally {
    await session.release();
  }
}

const FLOAT_BYTES = 4;
/** Weights lie in memory as numbers, as a file and in the runtime. */
const WEIGHT_COPIES = 3;

/** Bytes that weights take while they are run, and all that one sample makes. */
export async function runBytes(model: Model, feed: Feeds): Promise<{ weights: number; activations: number }> {
  const inputShapes = Object.fromEntries(Object.entries(feed).map(([name, { dims }]) => [name, dims]));
  const shapes = await inferShapes(model, { inputShapes });
  let [weights, activations] = [0, 0];
  for (const { graph } of walkGraphs(model.graph)) {
    for (const { dims } of graph.initializers) weights += WEIGHT_COPIES * FLOAT_BYTES * elementCount(dims);
    for (const name of graph.nodes.flatMap(({ outputs }) => outputs)) {
      const dims = shapes.of(graph, name)?.dims ?? [];
      activations += FLOAT_BYTES * elementCount(dims.map((dim) => (typeof dim === "number" ? dim : 1)));
    }
  }
  return { weights, activations };
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
