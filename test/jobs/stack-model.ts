import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import type { Model, ValueInfo } from "../../src/onnx/model.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";

/** y = relu(… relu(x·w₀)·w₁ …), x of [1, width]: the smallest model with as many layers as are wanted, on every host. */
export function stackModel(layers: number, width = 24, seed = 1): Promise<Uint8Array> {
  const random = numbers(seed);
  const value = (name: string): ValueInfo => ({
    name,
    type: { kind: "tensor", dataType: DataType.FLOAT, shape: [1, width] },
  });
  const at = (layer: number) => (layer === layers ? "y" : layer === 0 ? "x" : `h${layer}`);
  const indices = Array.from({ length: layers }, (_, layer) => layer);
  const model: Model = {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 17 }],
    graph: {
      name: "stack",
      nodes: indices.flatMap((layer) => [
        nodeOf("MatMul", [at(layer), `w${layer}`], [`m${layer}`]),
        nodeOf("Relu", [`m${layer}`], [at(layer + 1)]),
      ]),
      initializers: indices.map((layer) =>
        tensorOf(`w${layer}`, {
          dataType: DataType.FLOAT,
          dims: [width, width],
          data: Float32Array.from({ length: width * width }, random),
        }),
      ),
      sparseInitializers: [],
      inputs: [value("x")],
      outputs: [value("y")],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
  return modelBytes(model);
}

/** Seeded numbers in [−1, 1). */
function numbers(seed: number): () => number {
  let state = seed * 7919 + 17;
  return () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 1073741824 - 1;
  };
}
