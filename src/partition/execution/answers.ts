import type { Graph, Model, ValueInfo } from "../../onnx/model.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, LoadOptions, Runtime } from "../../runtime/runtime.ts";

/** The model with these values as its only outputs. */
export function answering(model: Model, outputs: readonly ValueInfo[]): Model {
  const { graph, irVersion, opsetImports, metadata, functions } = model;
  return { irVersion, opsetImports, metadata, functions, graph: { ...bare(graph), outputs } };
}

/** A copy of the graph that has lost the bytes it was read from. */
export function bare({
  name,
  nodes,
  initializers,
  sparseInitializers,
  inputs,
  outputs,
  valueInfo,
}: Graph): Graph {
  return { name, nodes, initializers, sparseInitializers, inputs, outputs, valueInfo };
}

/** Runs a model on each of the feeds. One session, given back at the end. @throws RuntimeLoadError, RuntimeRunError */
export async function answersOf(
  model: Model,
  runtime: Runtime,
  feeds: readonly Feeds[],
  options: LoadOptions = {},
): Promise<Feeds[]> {
  const session = await runtime.load(await modelBytes(model), options);
  try {
    const answers: Feeds[] = [];
    for (const feed of feeds) answers.push(await session.run(feed));
    return answers;
  } finally {
    await session.release();
  }
}
