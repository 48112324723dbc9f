import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Model } from "../../../src/onnx/model.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";
import { floatsTensor, int64Tensor, printed, random, randomTensor, simplifiedAndSame } from "./check.ts";
import { relativeDifference } from "./native.ts";

const float = (number: number) => ({ type: "float" as const, value: number });
const text = (string: string) => ({ type: "string" as const, value: string });

/** {@link simplifiedAndSame}, and the same once more in onnxruntime-web with its graph optimisation. */
async function simplifiedAndSameInWeb(model: Model, feeds: Feeds): Promise<Model> {
  const after = await simplifiedAndSame(model, feeds);
  const runtime = await nodeRuntime();
  const results: Feeds[] = [];
  for (const each of [model, after]) {
    const session = await runtime.load(await modelBytes(each));
    results.push(await session.run(feeds));
    await session.release();
  }
  for (const [name, expected] of Object.entries(results[0]!)) {
    expect(relativeDifference(expected, results[1]![name]!), name).toBeLessThanOrEqual(1e-5);
  }
  return after;
}

describe("hard sigmoid, outputs within 1e-5 in onnxruntime and onnxruntime-web", () => {
  const constants = [floatsTensor("three", [], [3]), floatsTensor("six", [1], [6])];
  const image = [1, 4, 6, 6];

  test("hard swish as Paddle exports it, opset 10: HardSigmoid and one product", async () => {
    const graph = graphOf({
      inputs: [value("x", image)],
      outputs: [value("y", image)],
      nodes: [
        node("Add", ["x", "three"], ["a"]),
        node("Clip", ["a"], ["c"], { min: float(0), max: float(6) }),
        node("Mul", ["x", "c"], ["p"]),
        node("Div", ["p", "six"], ["y"]),
      ],
      initializers: constants,
    });
    const x = { ...random(image), data: (random(image).data as Float32Array).map((entry) => 5 * entry) };
    const after = await simplifiedAndSameInWeb(modelOf(graph, 10), { x });
    expect(printed(after.graph.nodes)).toBe("HardSigmoid(x) → c\nMul(x, c) → y");
  });

  test("bounds as inputs and a factor in place of the division, opset 13: one node", async () => {
    const graph = graphOf({
      inputs: [value("x", image)],
      outputs: [value("y", image)],
      nodes: [
        node("Add", ["half", "x"], ["a"]),
        node("Clip", ["a", "zero", "two"], ["c"]),
        node("Mul", ["half", "c"], ["y"]),
      ],
      initializers: [
        floatsTensor("half", [], [0.5]),
        floatsTensor("zero", [], [0]),
        floatsTensor("two", [], [2]),
      ],
    });
    const after = await simplifiedAndSameInWeb(modelOf(graph, 13), { x: random(image) });
    expect(printed(after.graph.nodes)).toBe("HardSigmoid(x) → y");
  });

  test("another bound, another factor, or a value used elsewhere: nothing changes", async () => {
    const build = (max: number, divisor: string, outputs: string[]) =>
      modelOf(
        graphOf({
          inputs: [value("x", image)],
          outputs: outputs.map((name) => value(name, image)),
          nodes: [
            node("Add", ["x", "three"], ["a"]),
            node("Clip", ["a"], ["c"], { min: float(0), max: float(max) }),
            node("Div", ["c", divisor], ["y"]),
          ],
          initializers: constants,
        }),
        10,
      );
    for (const model of [build(5, "six", ["y"]), build(6, "three", ["y"]), build(6, "six", ["y", "a"])]) {
      const after = await simplifiedAndSameInWeb(model, { x: random(image) });
      expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Add", "Clip", "Div"]);
    }
  });
});

describe("uniform factors and summands go into the next layer, outputs within 1e-5", () => {
  const layer = (pads: number[]) => ({
    inputs: [value("x", [1, 4, 6, 6])],
    initializers: [
      randomTensor("w", [5, 4, 3, 3]),
      randomTensor("b", [5], 8),
      floatsTensor("m", [1], [1.7]),
      floatsTensor("s", [], [0.3]),
    ],
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("Mul", ["m", "r"], ["p"]),
      node("Add", ["p", "s"], ["a"]),
      node("Conv", ["a", "w", "b"], ["y"], { pads: ints(...pads) }),
    ],
  });

  test("in front of a convolution without margins: both go", async () => {
    const graph = graphOf({ ...layer([0, 0, 0, 0]), outputs: [value("y", [1, 5, 4, 4])] });
    const after = await simplifiedAndSameInWeb(modelOf(graph), { x: random([1, 4, 6, 6]) });
    expect(printed(after.graph.nodes)).toBe("Relu(x) → r\nConv(r, w, b) → y");
  });

  test("with margins the summand stays, and the factor goes past it", async () => {
    const graph = graphOf({ ...layer([1, 1, 1, 1]), outputs: [value("y", [1, 5, 6, 6])] });
    const after = await simplifiedAndSameInWeb(modelOf(graph), { x: random([1, 4, 6, 6]) });
    expect(printed(after.graph.nodes)).toBe("Relu(x) → r\nAdd(r, s_1) → a\nConv(a, w, b) → y");
  });

  test("Sub and Div in front of a Gemm of each layout and a MatMul", async () => {
    for (const transB of [0, 1]) {
      const graph = graphOf({
        inputs: [value("x", ["N", 7])],
        outputs: [value("y", ["N", 5])],
        nodes: [
          node("Tanh", ["x"], ["t"]),
          node("Sub", ["t", "s"], ["a"]),
          node("Gemm", ["a", "w", "b"], ["g"], { transB: int(transB), alpha: float(0.5) }),
          node("Tanh", ["g"], ["h"]),
          node("Div", ["h", "s"], ["d"]),
          node("MatMul", ["d", "v"], ["y"]),
        ],
        initializers: [
          randomTensor("w", transB ? [5, 7] : [7, 5]),
          randomTensor("b", [5], 8),
          randomTensor("v", [5, 5], 9),
          floatsTensor("s", [], [0.3]),
        ],
      });
      const after = await simplifiedAndSameInWeb(modelOf(graph), { x: random([3, 7]) });
      expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Tanh", "Gemm", "Tanh", "MatMul"]);
    }
  });

  test("the last factor of a GELU stays, so that runtimes still fuse it", async () => {
    const graph = graphOf({
      inputs: [value("x", ["N", 7])],
      outputs: [value("y", ["N", 5])],
      nodes: [
        node("Div", ["x", "root"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["a"]),
        node("Mul", ["x", "a"], ["p"]),
        node("Mul", ["p", "half"], ["g"]),
        node("MatMul", ["g", "w"], ["y"]),
      ],
      initializers: [
        floatsTensor("root", [], [Math.SQRT2]),
        floatsTensor("one", [], [1]),
        floatsTensor("half", [], [0.5]),
        randomTensor("w", [7, 5]),
      ],
    });
    const after = await simplifiedAndSameInWeb(modelOf(graph), { x: random([3, 7]) });
    expect(after.graph.nodes.length).toBe(6);
  });

  test("a factor out of range, a shared weight or a value used elsewhere: nothing changes", async () => {
    const parts = layer([0, 0, 0, 0]);
    const extreme = parts.initializers.map((tensor) =>
      tensor.name === "m" ? floatsTensor("m", [1], [1e-30]) : tensor,
    );
    const used = graphOf({ ...parts, outputs: [value("y", [1, 5, 4, 4]), value("a", [1, 4, 6, 6])] });
    const tiny = graphOf({
      ...layer([1, 1, 1, 1]),
      initializers: extreme,
      outputs: [value("y", [1, 5, 6, 6])],
    });
    for (const graph of [used, tiny]) {
      const after = await simplifiedAndSameInWeb(modelOf(graph), { x: random([1, 4, 6, 6]) });
      expect(after.graph.nodes.length).toBe(4);
    }
  });
});

describe("messages of a graph network are scattered as rows, outputs within 1e-5", () => {
  const indices: TensorValue = {
    dataType: DataType.INT64,
    dims: [6],
    data: BigInt64Array.from([4n, 0n, 4n, 1n, -1n, 4n]),
  };
  const build = (reduction: string, columns: number) =>
    modelOf(
      graphOf({
        inputs: [value("x", ["V", columns]), value("i", ["E"], DataType.INT64), value("u", ["E", 8])],
        outputs: [value("y", ["V", columns])],
        nodes: [
          node("Unsqueeze", ["i", "last"], ["column"]),
          node("Expand", ["column", "wide"], ["wideIndices"]),
          node("ScatterElements", ["x", "wideIndices", "u"], ["y"], {
            axis: int(0),
            reduction: text(reduction),
          }),
        ],
        initializers: [int64Tensor("last", [-1]), int64Tensor("wide", [1, 8])],
      }),
      16,
    );
  const feeds = (columns: number) => ({ x: random([5, columns]), i: indices, u: random([6, 8], 9) });

  test("a row of messages for a row of nodes: ScatterND with the same reduction", async () => {
    for (const reduction of ["add", "mul"]) {
      const after = await simplifiedAndSameInWeb(build(reduction, 8), feeds(8));
      expect(printed(after.graph.nodes)).toBe("Unsqueeze(i, last) → column\nScatterND(x, column, u) → y");
    }
  });

  test("rows that are longer than the messages: nothing changes", async () => {
    const after = await simplifiedAndSameInWeb(build("add", 9), feeds(9));
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Unsqueeze", "Expand", "ScatterElements"]);
  });

  test("without a reduction, which of equal indices counts is not ours to change: nothing changes", async () => {
    const { model } = await simplify(build("none", 8));
    expect(model.graph.nodes.at(-1)!.opType).toBe("ScatterElements");
  });
});
