import { describe, expect, test } from "vitest";
import type { Node, Tensor } from "../../../src/onnx/model.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";
import { floatsTensor, int64Tensor, printed, random, randomTensor, simplifiedAndSame } from "./check.ts";

const float = (value: number) => ({ type: "float" as const, value });

/** Statistics of a BatchNormalization over C channels. */
function statistics(prefix: string, channels: number): Tensor[] {
  const of = (name: string, from: number) =>
    floatsTensor(
      `${prefix}_${name}`,
      [channels],
      Array.from({ length: channels }, (_, c) => from + Math.sin(c + 1) / 2),
    );
  return [of("scale", 1.2), of("bias", 0.1), of("mean", 0.3), of("var", 1.5)];
}

function batchNorm(input: string, output: string, prefix: string): Node {
  const names = ["scale", "bias", "mean", "var"].map((name) => `${prefix}_${name}`);
  return node("BatchNormalization", [input, ...names], [output], { epsilon: float(1e-3) });
}

describe("folding into linear layers, outputs within 1e-5", () => {
  test("BatchNormalization after Conv with groups: one node", async () => {
    const graph = graphOf({
      inputs: [value("x", ["N", 4, 8, 8])],
      outputs: [value("y", ["N", 6, 6, 6])],
      nodes: [node("Conv", ["x", "w"], ["c"], { group: int(2) }), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [6, 2, 3, 3]), ...statistics("bn", 6)],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([2, 4, 8, 8]) });
    expect(printed(after.graph.nodes)).toBe("Conv(x, w, y_bias) → y");
  });

  test("BatchNormalization after ConvTranspose with groups: one node", async () => {
    const graph = graphOf({
      inputs: [value("x", [1, 4, 5, 5])],
      outputs: [value("y", [1, 6, 7, 7])],
      nodes: [node("ConvTranspose", ["x", "w", "b"], ["c"], { group: int(2) }), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [4, 3, 3, 3]), randomTensor("b", [6], 8), ...statistics("bn", 6)],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([1, 4, 5, 5]) });
    expect(printed(after.graph.nodes)).toBe("ConvTranspose(x, w, b) → y");
  });

  test("BatchNormalization after Gemm with alpha, beta and transB: one node", async () => {
    const attributes = { transB: int(1), alpha: float(0.5), beta: float(2) };
    const graph = graphOf({
      inputs: [value("x", ["N", 7])],
      outputs: [value("y", ["N", 5])],
      nodes: [node("Gemm", ["x", "w", "b"], ["c"], attributes), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [5, 7]), randomTensor("b", [5], 8), ...statistics("bn", 5)],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([3, 7]) });
    expect(printed(after.graph.nodes)).toBe("Gemm(x, w, b) → y");
  });

  test("BatchNormalization of a Gemm without bias and transB = 0: one node", async () => {
    const graph = graphOf({
      inputs: [value("x", ["N", 7])],
      outputs: [value("y", ["N", 5])],
      nodes: [node("Gemm", ["x", "w"], ["c"]), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [7, 5]), ...statistics("bn", 5)],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([3, 7]) });
    expect(printed(after.graph.nodes)).toBe("Gemm(x, w, y_bias) → y");
  });

  test("scale and shift after Conv (Mul, Add, Sub, Div with constants of each form): one node", async () => {
    const graph = graphOf({
      inputs: [value("x", [1, 3, 8, 8])],
      outputs: [value("y", [1, 5, 6, 6])],
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("Mul", ["m", "c"], ["c1"]),
        node("Add", ["c1", "a"], ["c2"]),
        node("Sub", ["s", "c2"], ["c3"]),
        node("Div", ["c3", "d"], ["y"]),
      ],
      initializers: [
        randomTensor("w", [5, 3, 3, 3]),
        randomTensor("m", [5, 1, 1], 7),
        randomTensor("a", [1, 5, 1, 1], 8),
        floatsTensor("s", [], [0.7]),
        floatsTensor("d", [1], [3]),
      ],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([1, 3, 8, 8]) });
    expect(printed(after.graph.nodes)).toBe("Conv(x, w, c2_bias) → y");
  });

  test("MatMul, scale and bias on matrices: one Gemm; on three axes the bias stays an Add", async () => {
    const build = (dims: (number | string)[]) =>
      modelOf(
        graphOf({
          inputs: [value("x", dims)],
          outputs: [value("y", [...dims.slice(0, -1), 5])],
          nodes: [
            node("MatMul", ["x", "w"], ["c"]),
            node("Mul", ["c", "m"], ["c1"]),
            node("Add", ["c1", "a"], ["y"]),
          ],
          initializers: [randomTensor("w", [7, 5]), randomTensor("m", [5], 7), randomTensor("a", [5], 8)],
        }),
      );
    const flat = await simplifiedAndSame(build(["N", 7]), { x: random([3, 7]) });
    expect(printed(flat.graph.nodes)).toBe("Gemm(x, w, a) → y");
    const deep = await simplifiedAndSame(build(["N", 4, 7]), { x: random([2, 4, 7]) });
    expect(printed(deep.graph.nodes)).toBe("MatMul(x, w) → c1\nAdd(c1, a) → y");
  });

  test("nothing is folded into a weight that another node uses, that is an output, or that a caller may set", async () => {
    const nodes = [node("Conv", ["x", "w"], ["c"]), batchNorm("c", "y", "bn")];
    const parts = {
      inputs: [value("x", [1, 3, 8, 8])],
      outputs: [value("y", [1, 16, 6, 6])],
      nodes,
      initializers: [randomTensor("w", [16, 3, 3, 3]), ...statistics("bn", 16)],
    };
    const feed = { x: random([1, 3, 8, 8]) };
    const shared = {
      ...parts,
      nodes: [...nodes, node("Conv", ["x", "w"], ["z"], { strides: ints(2, 2) })],
      outputs: [...parts.outputs, value("z", [1, 16, 3, 3])],
    };
    expect((await simplifiedAndSame(modelOf(graphOf(shared)), feed)).graph.nodes).toHaveLength(3);
    const output = { ...parts, outputs: [...parts.outputs, value("w", [16, 3, 3, 3])] };
    expect((await simplifiedAndSame(modelOf(graphOf(output)), feed)).graph.nodes).toHaveLength(2);
    const settable = { ...parts, inputs: [...parts.inputs, value("w", [16, 3, 3, 3])] };
    const model = modelOf(graphOf(settable));
    const after = await simplifiedAndSame(model, feed, { ...feed, w: random([16, 3, 3, 3], 42) });
    expect(after.graph.nodes).toHaveLength(2);
    expect(after.graph.inputs).toEqual(model.graph.inputs);
  });

  test("a layer's output that is needed elsewhere, training mode and a constant along another axis stay", async () => {
    const graph = graphOf({
      inputs: [value("x", [1, 3, 8, 8])],
      outputs: [value("y", [1, 6, 6, 6]), value("c", [1, 6, 6, 6])],
      nodes: [node("Conv", ["x", "w"], ["c"]), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [6, 3, 3, 3]), ...statistics("bn", 6)],
    });
    expect((await simplifiedAndSame(modelOf(graph), { x: random([1, 3, 8, 8]) })).graph.nodes).toHaveLength(
      2,
    );
    const rows = graphOf({
      inputs: [value("x", [1, 3, 8, 8])],
      outputs: [value("y", [1, 6, 6, 6])],
      nodes: [node("Conv", ["x", "w"], ["c"]), node("Add", ["c", "a"], ["y"])],
      initializers: [randomTensor("w", [6, 3, 3, 3]), randomTensor("a", [6, 1], 8)],
    });
    expect((await simplifiedAndSame(modelOf(rows), { x: random([1, 3, 8, 8]) })).graph.nodes).toHaveLength(2);
  });

  test("before IR version 4 initializers listed as inputs are constants, and the list is given up", async () => {
    const graph = graphOf({
      inputs: [value("x", [1, 3, 8, 8]), value("w", [6, 3, 3, 3])],
      outputs: [value("y", [1, 6, 6, 6])],
      nodes: [node("Conv", ["x", "w"], ["c"]), batchNorm("c", "y", "bn")],
      initializers: [randomTensor("w", [6, 3, 3, 3]), ...statistics("bn", 6)],
    });
    const names = statistics("bn", 6).map((tensor) => value(tensor.name, [6]));
    const model = modelOf({ ...graph, inputs: [...graph.inputs, ...names] }, 8, 3);
    const after = await simplifiedAndSame(model, { x: random([1, 3, 8, 8]) });
    expect(printed(after.graph.nodes)).toBe("Conv(x, w, y_bias) → y");
    expect(after.irVersion).toBe(4);
    expect(after.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  });
});

describe("pads and transposes, outputs within 1e-5", () => {
  test("a Pad of zeros goes into Conv, attributes (opset 10) and inputs (13)", async () => {
    for (const opset of [10, 13]) {
      const pads = [0, 0, 1, 2, 0, 0, 3, 0];
      const graph = graphOf({
        inputs: [value("x", [1, 3, 8, 8])],
        outputs: [value("y", [1, 4, 12, 10])],
        nodes: [
          opset < 11
            ? node("Pad", ["x"], ["p"], { pads: ints(...pads) })
            : node("Pad", ["x", "pads"], ["p"], { mode: { type: "string", value: "constant" } }),
          node("Conv", ["p", "w"], ["y"], { pads: ints(1, 1, 1, 1) }),
        ],
        initializers: [randomTensor("w", [4, 3, 3, 3]), ...(opset < 11 ? [] : [int64Tensor("pads", pads)])],
      });
      const after = await simplifiedAndSame(modelOf(graph, opset, 6), { x: random([1, 3, 8, 8]) });
      expect(printed(after.graph.nodes)).toBe("Conv(x, w) → y");
    }
  });

  test("a Pad of zeros goes into AveragePool, of −∞ into MaxPool, and of zeros in front of MaxPool it stays", async () => {
    const build = (pool: string, fill: number) =>
      modelOf(
        graphOf({
          inputs: [value("x", [1, 3, 8, 8])],
          outputs: [value("y", [1, 3, 4, 4])],
          nodes: [
            node("Pad", ["x", "pads", "v"], ["p"]),
            node(pool, ["p"], ["y"], { kernel_shape: ints(3, 3), strides: ints(2, 2) }),
          ],
          initializers: [int64Tensor("pads", [0, 0, 1, 1, 0, 0, 1, 1]), floatsTensor("v", [], [fill])],
        }),
      );
    const negative = random([1, 3, 8, 8], 4);
    (negative.data as Float32Array).forEach((entry, i, all) => {
      all[i] = -Math.abs(entry) - 1;
    });
    const count = async (pool: string, fill: number) =>
      (await simplifiedAndSame(build(pool, fill), { x: negative })).graph.nodes.length;
    expect(await count("AveragePool", 0)).toBe(1);
    expect(await count("MaxPool", Number.NEGATIVE_INFINITY)).toBe(1);
    expect(await count("MaxPool", 0)).toBe(2);
  });

  test("a Transpose in front of Gemm turns into transA", async () => {
    const graph = graphOf({
      inputs: [value("x", [7, 3])],
      outputs: [value("y", [3, 5])],
      nodes: [node("Transpose", ["x"], ["t"], { perm: ints(1, 0) }), node("Gemm", ["t", "w"], ["y"])],
      initializers: [randomTensor("w", [7, 5])],
    });
    const after = await simplifiedAndSame(modelOf(graph), { x: random([7, 3]) });
    expect(printed(after.graph.nodes)).toBe("Gemm(x, w) → y");
  });

  test("joining with zeros is a Pad; zero initial states of an LSTM are left out", async () => {
    const filled = graphOf({
      inputs: [value("x", ["N", 3, 8])],
      outputs: [value("y", ["N", 5, 8])],
      nodes: [
        node("ConstantOfShape", ["s"], ["zeros"]),
        node("Concat", ["x", "zeros"], ["y"], { axis: int(1) }),
      ],
      initializers: [int64Tensor("s", [1, 2, 800])],
    });
    const graph = { ...filled, inputs: [value("x", [1, 3, 800])], outputs: [value("y", [1, 5, 800])] };
    const after = await simplifiedAndSame(modelOf(graph), { x: random([1, 3, 800]) });
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Pad"]);
    const recurrent = graphOf({
      inputs: [value("x", [4, "N", 3])],
      outputs: [value("y", [4, 1, "N", 2])],
      nodes: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["n"]),
        node("Concat", ["l", "n", "h"], ["hs"], { axis: int(0) }),
        node("ConstantOfShape", ["hs"], ["z"]),
        node("LSTM", ["x", "w", "r", "", "", "z", "z"], ["y"], { hidden_size: int(2) }),
      ],
      initializers: [
        int64Tensor("one", [1]),
        int64Tensor("l", [1]),
        int64Tensor("h", [2]),
        randomTensor("w", [1, 8, 3]),
        randomTensor("r", [1, 8, 2], 9),
      ],
    });
    const lstm = await simplifiedAndSame(modelOf(recurrent), { x: random([4, 2, 3]) });
    expect(printed(lstm.graph.nodes)).toBe("LSTM(x, w, r) → y");
  });
});
