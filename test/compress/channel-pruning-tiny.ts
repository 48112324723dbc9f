import { DataType } from "../../src/onnx/data-type.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import type { Dim, Model, Node, Tensor } from "../../src/onnx/model.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { floats, floatTensor, graphOf, modelOf, node, value } from "./tiny.ts";

export function weights(shapes: Readonly<Record<string, readonly number[]>>): Tensor[] {
  return Object.entries(shapes).map(([name, dims], i) => {
    const scaled = floats(dims, i + 1).map((one) => one * 0.5);
    // Variances.
    return floatTensor(name, dims, name.endsWith("var") ? scaled.map((one) => one + 1) : scaled);
  });
}

export function list(name: string, ...entries: number[]): Tensor {
  return tensorOf(name, {
    dataType: DataType.INT64,
    dims: [entries.length],
    data: BigInt64Array.from(entries, BigInt),
  });
}

export interface Parts {
  readonly input: readonly number[];
  readonly declared?: readonly Dim[];
  readonly output: readonly Dim[];
  readonly nodes: readonly Node[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly more?: readonly Tensor[];
  readonly opset?: number;
}

export function tiny({ input, declared, output, nodes, weights: shapes, more = [], opset = 13 }: Parts): {
  model: Model;
  feeds: Feeds[];
} {
  const model = modelOf(
    graphOf({
      nodes,
      initializers: [...weights(shapes), ...more],
      inputs: [value("x", declared ?? input)],
      outputs: [value("y", output)],
    }),
    opset,
  );
  const feeds = [1, 2, 3].map((one) => ({
    x: { dataType: DataType.FLOAT, dims: input, data: floats(input, 40 + one) },
  }));
  return { model, feeds };
}

export const conv = (
  x: string,
  w: string,
  y: string,
  attributes: Record<string, NewAttribute> = {},
  bias = "",
) => node("Conv", bias === "" ? [x, w] : [x, w, bias], [y], attributes);

export const text = (one: string): NewAttribute => ({ type: "string", value: one });
