import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import type { Model, Node } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { sparseTensorOf } from "../../src/onnx/sparse.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { realModels } from "../models/registry.ts";
import { floats, graphOf, input, int64s, modelOf, output } from "./shapes/graphs.ts";

const int = (value: number) => ({ type: "int", value }) as const;
const ints = (...value: number[]) => ({ type: "ints", value }) as const;

function named(name: string, node: Node): Node {
  return { ...node, name };
}

async function layersOf(model: Model) {
  return listLayers(model, await inferShapes(model));
}

describe("weights are found", () => {
  const x = input("x", [5, 4]);

  test("in initializers, Constant nodes and sparse initializers, with what they take in the file", async () => {
    const sparse = { dataType: DataType.FLOAT, dims: [6, 7], data: new Float32Array(42) };
    sparse.data[3] = 1;
    const model = modelOf({
      inputs: [x],
      initializers: [floats("w1", [4, 6])],
      sparseInitializers: [sparseTensorOf("w2", sparse)],
      nodes: [
        named("a", nodeOf("MatMul", ["x", "w1"], ["h1"])),
        named("b", nodeOf("MatMul", ["h1", "w2"], ["h2"])),
        nodeOf("Constant", [], ["w3"], { value: { type: "tensor", value: floats("", [3, 7]) } }),
        named("c", nodeOf("Gemm", ["h2", "w3"], ["y"], { transB: int(1) })),
      ],
    });
    const layers = await layersOf(model);
    expect(
      layers.map(({ name, op, weight, dims, parameters, bytes, macs, fixed }) => [
        [name, op, weight.name, weight.holder.kind, fixed],
        [dims, parameters, bytes, macs],
      ]),
    ).toEqual([
      [
        ["a", "MatMul", "w1", "initializer", null],
        [[4, 6], 24, 96, 120],
      ],
      // One value of 4 bytes and one index of 1.
      [
        ["b", "MatMul", "w2", "sparse_initializer", null],
        [[6, 7], 42, 5, 210],
      ],
      [
        ["c", "Gemm", "w3", "constant", null],
        [[3, 7], 21, 84, 105],
      ],
    ]);
  });

  test("behind Identity and in the graphs around a subgraph; a shared one is listed once with all its uses", async () => {
    const branch = (name: string) =>
      graphOf({
        nodes: [named(`in ${name}`, nodeOf("MatMul", ["x", "alias"], [name]))],
        outputs: [output(name)],
      });
    const model = modelOf({
      inputs: [x, input("c", [], DataType.BOOL)],
      initializers: [floats("w", [4, 4])],
      nodes: [
        nodeOf("Identity", ["w"], ["alias"]),
        named("outer", nodeOf("MatMul", ["x", "w"], ["h"])),
        named(
          "if",
          nodeOf("If", ["c"], ["y"], {
            then_branch: { type: "graph", value: branch("t") },
            else_branch: { type: "graph", value: branch("e") },
          }),
        ),
      ],
    });
    const [layer, ...rest] = await layersOf(model);
    expect(rest).toEqual([]);
    expect(layer?.uses.map(({ node, path, input }) => [node.name, path, input])).toEqual([
      ["outer", [], 1],
      ["in t", ["if", "then_branch"], 1],
      ["in e", ["if", "else_branch"], 1],
    ]);
    expect(layer?.macs).toBe(3 * 5 * 4 * 4);
  });

  test("as two layers of a recurrent node", async () => {
    const model = modelOf({
      inputs: [input("x", [9, 2, 3])],
      initializers: [floats("w", [1, 32, 3]), floats("r", [1, 32, 8])],
      nodes: [named("rnn", nodeOf("LSTM", ["x", "w", "r"], ["y"], { hidden_size: int(8) }))],
    });
    const layers = await layersOf(model);
    expect(layers.map(({ name, macs }) => [name, macs])).toEqual([
      ["rnn.W", 9 * 2 * 32 * 3],
      ["rnn.R", 9 * 2 * 32 * 8],
    ]);
    expect(layers[0]?.uses[0]?.geometry).toEqual({
      kind: "recurrent",
      part: "W",
      directions: 1,
      gates: 4,
      hidden: 8,
      inputFeatures: 3,
      steps: 9,
      batch: 2,
    });
  });

  test("but not where they are no weights: vectors, tables of integers, what is computed or fed", async () => {
    const model = modelOf({
      inputs: [x, input("fed", [4, 4]), input("i", [3], DataType.INT64)],
      initializers: [floats("v", [4]), int64s("t", [1, 2, 3, 4], [2, 2])],
      nodes: [
        nodeOf("MatMul", ["x", "v"], ["a"]),
        nodeOf("Gather", ["t", "i"], ["b"]),
        nodeOf("MatMul", ["x", "fed"], ["d"]),
        nodeOf("Relu", ["fed"], ["r"]),
        nodeOf("MatMul", ["x", "r"], ["e"]),
      ],
    });
    expect(await layersOf(model)).toEqual([]);
  });
});

test("names are the node's, else the weight's, made unique", async () => {
  const model = modelOf({
    inputs: [input("x", [1, 2])],
    initializers: [floats("w", [2, 2]), floats("u", [2, 2]), floats("v", [2, 2])],
    nodes: [
      named("n", nodeOf("MatMul", ["x", "w"], ["a"])),
      named("n", nodeOf("MatMul", ["a", "u"], ["b"])),
      nodeOf("MatMul", ["b", "v"], ["y"]),
    ],
  });
  expect((await layersOf(model)).map(({ name }) => name)).toEqual(["n", "n#2", "v"]);
});

describe("weights that no method takes say why", () => {
  test("quantized, derived, an output, an input that callers may replace", async () => {
    const int8 = tensorOf("q", { dataType: DataType.INT8, dims: [4, 4], data: new Int8Array(16) });
    const model = modelOf({
      inputs: [input("x", [1, 4]), input("open", [4, 4])],
      outputs: [output("kept")],
      initializers: [
        floats("kept", [4, 4]),
        floats("open", [4, 4]),
        floats("turned", [3, 4]),
        int8,
        floats("s", []),
      ],
      nodes: [
        nodeOf("DequantizeLinear", ["q", "s"], ["f"]),
        nodeOf("Transpose", ["turned"], ["t"]),
        named("quantized", nodeOf("MatMul", ["x", "f"], ["a"])),
        named("derived", nodeOf("MatMul", ["x", "t"], ["b"])),
        named("output", nodeOf("MatMul", ["x", "kept"], ["c"])),
        named("input", nodeOf("MatMul", ["x", "open"], ["d"])),
      ],
    });
    const layers = await layersOf(model);
    expect(layers.map(({ name, fixed }) => [name, fixed])).toEqual([
      ["quantized", "its weight is quantized already"],
      ["derived", "its weight is computed from constants that are not folded yet"],
      ["output", "its weight is an output of the graph"],
      ["input", "its weight is an input of the model that callers may replace"],
    ]);
    // Seen through the Transpose.
    expect(layers[1]?.uses[0]?.geometry).toMatchObject({ inputFeatures: 4, outputFeatures: 3 });
  });
});

describe("geometry", () => {
  test("of convolutions: channels, groups and sizes", async () => {
    const model = modelOf({
      inputs: [input("x", [2, 6, 16, 20])],
      initializers: [floats("w", [8, 3, 3, 3]), floats("d", [8, 5, 2, 2])],
      nodes: [
        nodeOf("Conv", ["x", "w"], ["h"], { group: int(2), strides: ints(2, 2), pads: ints(1, 1, 1, 1) }),
        nodeOf("ConvTranspose", ["h", "d"], ["y"], { strides: ints(2, 2) }),
      ],
    });
    const [conv, transposed] = await layersOf(model);
    expect(conv?.uses[0]?.geometry).toMatchObject({
      transposed: false,
      groups: 2,
      inputChannels: 6,
      outputChannels: 8,
      batch: 2,
      inputSize: [16, 20],
      outputSize: [8, 10],
    });
    expect(conv?.macs).toBe(2 * 8 * 80 * 3 * 9);
    expect(transposed?.uses[0]?.geometry).toMatchObject({
      transposed: true,
      inputChannels: 8,
      outputChannels: 5,
      outputSize: [16, 20],
    });
    expect(transposed?.macs).toBe(2 * 8 * 80 * 5 * 4);
  });

  test.each([
    [
      "right",
      nodeOf("MatMul", ["x", "w"], ["y"]),
      [3, 7, 4],
      [4, 6],
      { inputAxis: 0, outputAxis: 1, rows: 21 },
    ],
    [
      "left",
      nodeOf("MatMul", ["w", "x"], ["y"]),
      [3, 4, 7],
      [6, 4],
      { inputAxis: 1, outputAxis: 0, rows: 21 },
    ],
    [
      "transposed",
      nodeOf("Gemm", ["x", "w"], ["y"], { transB: int(1) }),
      [7, 4],
      [6, 4],
      { inputAxis: 1, outputAxis: 0, rows: 7 },
    ],
  ] as const)("of a matrix on the %s", async (_, node, shape, dims, expected) => {
    const model = modelOf({ inputs: [input("x", shape)], initializers: [floats("w", dims)], nodes: [node] });
    const [layer] = await layersOf(model);
    expect(layer?.uses[0]?.geometry).toMatchObject({ ...expected, inputFeatures: 4, outputFeatures: 6 });
  });

  test("of a table", async () => {
    const model = modelOf({
      inputs: [input("i", [2, 5], DataType.INT64)],
      initializers: [floats("t", [30, 8])],
      nodes: [nodeOf("Gather", ["t", "i"], ["y"])],
    });
    const [layer] = await layersOf(model);
    expect(layer?.macs).toBe(0);
    expect(layer?.uses[0]?.geometry).toEqual({
      kind: "embedding",
      axis: 0,
      entries: 30,
      width: 8,
      lookups: 10,
    });
  });
});

describe("of the real models", () => {
  for (const real of realModels) {
    test.skipIf(real.missing)(
      `${real.name}: unique names, known costs, 95% of the weights ${real.missing ?? ""}`,
      async () => {
        const model = await readModel(bytesSource(await real.bytes()));
        const layers = listLayers(model, await inferShapes(model, { inputShapes: real.inputShapes }));
        expect(new Set(layers.map(({ name }) => name)).size).toBe(layers.length);
        expect(layers.every(({ macs }) => macs !== null)).toBe(true);
        const bytes = layers.reduce((sum, layer) => sum + layer.bytes, 0);
        const file = (await real.bytes()).length;
        // Graphs of many small nodes take a part of their own.
        expect(bytes / file).toBeGreaterThan(real.name === "voice-activity" || file < 1e6 ? 0.88 : 0.95);
      },
    );
  }
});
