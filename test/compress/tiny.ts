import * as ortNode from "onnxruntime-node";
import { DataType } from "../../src/onnx/data-type.ts";
import { type NewAttribute, nodeOf } from "../../src/onnx/edit.ts";
import type { Dim, Graph, Model, Node, SparseTensor, Tensor, ValueInfo } from "../../src/onnx/model.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";

/** Seeded numbers in [-1, 1), smooth enough to have a spectrum worth truncating where `smooth` is set. */
export function floats(dims: readonly number[], seed = 1): Float32Array {
  let state = seed * 7919 + 17;
  return Float32Array.from({ length: elementCount(dims) }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 1073741824 - 1;
  });
}

export function floatTensor(name: string, dims: readonly number[], data: Float32Array): Tensor {
  return tensorOf(name, { dataType: DataType.FLOAT, dims, data });
}

export function value(name: string, shape: readonly Dim[], dataType: number = DataType.FLOAT): ValueInfo {
  return { name, type: { kind: "tensor", dataType, shape } };
}

export interface GraphParts {
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Tensor[];
  readonly sparse?: readonly SparseTensor[];
  readonly inputs?: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

export function graphOf(parts: GraphParts): Graph {
  return {
    name: "tiny",
    nodes: parts.nodes,
    initializers: parts.initializers ?? [],
    sparseInitializers: parts.sparse ?? [],
    inputs: parts.inputs ?? [],
    outputs: parts.outputs,
    valueInfo: [],
  };
}

export function modelOf(graph: Graph, opset = 14, irVersion = 8): Model {
  return {
    irVersion,
    opsetImports: [{ domain: "", version: opset }],
    graph,
    metadata: [],
    functions: [],
  };
}

export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, NewAttribute>> = {},
): Node {
  return { ...nodeOf(opType, inputs, outputs, attributes), name: outputs[0] ?? "" };
}

export const ints = (...list: number[]): NewAttribute => ({ type: "ints", value: list });
export const int = (one: number): NewAttribute => ({ type: "int", value: one });

export interface Feed {
  readonly type: "float32" | "int64" | "bool";
  readonly data: Float32Array | BigInt64Array | Uint8Array;
  readonly dims: readonly number[];
}

export function floatFeed(dims: readonly number[], seed = 99): Feed {
  return { type: "float32", data: floats(dims, seed), dims };
}

/** First output of the model in onnxruntime-node and in onnxruntime-web, each really run. */
export async function runBoth(
  model: Model,
  feeds: Readonly<Record<string, Feed>>,
): Promise<{ node: number[]; web: number[] }> {
  return { node: await runNode(model, feeds), web: await runWeb(model, feeds) };
}

async function runNode(model: Model, feeds: Readonly<Record<string, Feed>>): Promise<number[]> {
  const session = await ortNode.InferenceSession.create(await modelBytes(model), {
    logSeverityLevel: 3,
    // Threads take longer to start and to wait than a tiny model to run.
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    // Without it, products of integers that are dequantised round what they multiply to 8 bits.
    extra: { session: { qdq_matmulnbits_accuracy_level: "1" } },
  });
  const tensors = Object.entries(feeds).map(([name, feed]) => [
    name,
    new ortNode.Tensor(feed.type, feed.data as Float32Array, feed.dims),
  ]);
  const outputs = await session.run(Object.fromEntries(tensors));
  await session.release();
  return Array.from(outputs[model.graph.outputs[0]!.name]!.data as Float32Array);
}

const CODES = { float32: DataType.FLOAT, int64: DataType.INT64, bool: DataType.BOOL };

/** First output of the model in onnxruntime-web. */
export async function runWeb(model: Model, feeds: Readonly<Record<string, Feed>>): Promise<number[]> {
  const session = await (await nodeRuntime()).load(await modelBytes(model));
  const outputs = await session.run(
    Object.fromEntries(
      Object.entries(feeds).map(([name, feed]) => [
        name,
        { dataType: CODES[feed.type], dims: feed.dims, data: feed.data },
      ]),
    ),
  );
  await session.release();
  return Array.from(outputs[model.graph.outputs[0]!.name]!.data as Float32Array);
}

export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) return Number.NaN;
  return a.reduce((most, one, i) => Math.max(most, Math.abs(one - b[i]!)), 0);
}

/** Largest difference over the largest of what is expected. */
export function largestRelative(expected: readonly number[], found: readonly number[]): number {
  const most = expected.reduce((max, one) => Math.max(max, Math.abs(one)), 1e-6);
  return largestDifference(expected, found) / most;
}
