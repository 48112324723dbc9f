import { DataType } from "../src/onnx/data-type.ts";
import type { NewAttribute } from "../src/onnx/edit.ts";
import type { Model, Node, Tensor } from "../src/onnx/model.ts";
import { tensorOf } from "../src/onnx/tensor.ts";
import { elementCount, type TensorValue } from "../src/onnx/tensor-value.ts";
import { modelBytes } from "../src/onnx/write.ts";
import type { Runtime, Session } from "../src/runtime/runtime.ts";

export interface TimingLimits {
  readonly leastRuns: number;
  readonly mostRuns: number;
  /** Runs go on until all of them together have taken this long, ms. */
  readonly leastMs: number;
}

/** Shortest time of a run of each model, ms: run in turns on the same input "x", of fixed shape, after one run to warm up. */
export async function shortestTimes(
  runtime: Runtime,
  models: readonly Model[],
  { leastRuns, mostRuns, leastMs }: TimingLimits,
): Promise<number[]> {
  const sessions: Session[] = [];
  for (const model of models) sessions.push(await runtime.load(await modelBytes(model)));
  const type = models[0]!.graph.inputs[0]!.type;
  const feeds = { x: noiseOf((type?.kind === "tensor" ? type.shape : []) as number[]) };
  for (const session of sessions) await session.run(feeds);
  const best = sessions.map(() => Number.POSITIVE_INFINITY);
  let total = 0;
  for (let run = 0; run < leastRuns || (total < leastMs && run < mostRuns); run++) {
    for (const [which, session] of sessions.entries()) {
      const start = performance.now();
      await session.run(feeds);
      const ms = performance.now() - start;
      best[which] = Math.min(best[which]!, ms);
      total += ms;
    }
  }
  for (const session of sessions) await session.release();
  return best;
}

/** A model of opset 14 from "x", of that shape, to "y". */
export function benchModel(
  nodes: readonly Node[],
  initializers: readonly Tensor[],
  shape: readonly number[],
): Model {
  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 14 }],
    graph: {
      name: "bench",
      nodes,
      initializers,
      sparseInitializers: [],
      inputs: [{ name: "x", type: { kind: "tensor", dataType: DataType.FLOAT, shape } }],
      outputs: [{ name: "y" }],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
}

export function noiseTensor(name: string, dims: readonly number[]): Tensor {
  return tensorOf(name, noiseOf(dims));
}

export function ints(value: readonly number[]): NewAttribute {
  return { type: "ints", value };
}

/** Seeded, in [-0.5, 0.5). */
function noiseOf(dims: readonly number[]): TensorValue {
  let state = 1;
  const data = Float32Array.from({ length: elementCount(dims) }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648 - 0.5;
  });
  return { dataType: DataType.FLOAT, dims, data };
}
