import { DataType } from "../../../src/onnx/data-type.ts";
import type { Graph, Model, Node } from "../../../src/onnx/model.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { graphOf, modelOf, value } from "../tiny.ts";
import { random } from "./check.ts";

export const bool = (truth: boolean): TensorValue => ({
  dataType: DataType.BOOL,
  dims: [],
  data: Uint8Array.of(truth ? 1 : 0),
});

/** A chain x → … → y of nodes over [2, 3, 4], with constants. */
export function chain(nodes: readonly Node[], initializers: Graph["initializers"] = [], opset = 14): Model {
  const shape = ["N", 3, 4];
  return modelOf(
    graphOf({ inputs: [value("x", shape)], outputs: [value("y", shape)], nodes, initializers }),
    opset,
  );
}

export const input = { x: random([2, 3, 4]) };
