import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import type { Dim, Graph, Model, Node, Tensor, ValueInfo } from "../../../src/onnx/model.ts";
import type { InferOptions } from "../../../src/onnx/shapes/infer.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";

export { nodeOf };

export function input(name: string, shape: readonly Dim[], dataType: number = DataType.FLOAT): ValueInfo {
  return { name, type: { kind: "tensor", dataType, shape } };
}

export function output(name: string): ValueInfo {
  return { name };
}

export function floats(name: string, dims: readonly number[], data?: readonly number[]): Tensor {
  const count = dims.reduce((a, b) => a * b, 1);
  return tensorOf(name, {
    dataType: DataType.FLOAT,
    dims,
    data: Float32Array.from(data ?? Array.from({ length: count }, (_, i) => i + 1)),
  });
}

export function int64s(
  name: string,
  data: readonly number[],
  dims: readonly number[] = [data.length],
): Tensor {
  return tensorOf(name, { dataType: DataType.INT64, dims, data: BigInt64Array.from(data, BigInt) });
}

export function graphOf(parts: Partial<Graph> & { nodes: readonly Node[] }): Graph {
  return {
    name: "g",
    initializers: [],
    sparseInitializers: [],
    inputs: [],
    outputs: [],
    valueInfo: [],
    ...parts,
  };
}

export function modelOf(parts: Partial<Graph> & { nodes: readonly Node[] }, opset = 17): Model {
  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: opset }],
    graph: graphOf(parts),
    metadata: [],
    functions: [],
  };
}

/** "float[N, 3, ?]" of a value of the model's own graph, "?" where nothing is known. */
export async function shapeText(model: Model, name: string, options?: InferOptions): Promise<string> {
  const shapes = await inferShapes(model, options);
  const found = shapes.of(model.graph, name);
  return found ? `[${found.dims.map((dim) => dim ?? "?").join(", ")}]` : "?";
}
