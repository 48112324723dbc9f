import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import { inspectModel } from "../../src/onnx/inspect.ts";
import { vectorFlops } from "../../src/onnx/operators/flops.ts";
import { nodeMacs } from "../../src/onnx/operators/macs.ts";
import { modelMacs } from "../../src/onnx/operators/totals.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferDefaultShapes } from "../../src/onnx/shapes/defaults.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { realModels } from "../models/registry.ts";
import { floats, graphOf, input, int64s, modelOf, output } from "./shapes/graphs.ts";

const int = (value: number) => ({ type: "int", value }) as const;
const ints = (...value: number[]) => ({ type: "ints", value }) as const;
const text = (value: string) => ({ type: "string", value }) as const;

describe("multiply-accumulates of a node", () => {
  test.each([
    [
      "MatMul",
      {},
      [
        [2, 5, 3],
        [3, 4],
      ],
      [2, 5, 4],
      2 * 5 * 4 * 3,
    ],
    [
      "Gemm",
      { transA: int(1) },
      [
        [3, 5],
        [3, 4],
      ],
      [5, 4],
      5 * 4 * 3,
    ],
    [
      "Conv",
      { group: int(4) },
      [
        [1, 4, 8, 8],
        [4, 1, 3, 3],
      ],
      [1, 4, 6, 6],
      4 * 36 * 9,
    ],
    [
      "ConvTranspose",
      {},
      [
        [1, 4, 8],
        [4, 3, 2],
      ],
      [1, 3, 9],
      4 * 8 * 3 * 2,
    ],
    [
      "GRU",
      {},
      [
        [7, 2, 5],
        [1, 12, 5],
        [1, 12, 4],
      ],
      [7, 1, 2, 4],
      7 * 2 * 12 * 9,
    ],
    [
      "Einsum",
      { equation: text("bij,bjk->bik") },
      [
        [2, 3, 4],
        [2, 4, 5],
      ],
      [2, 3, 5],
      2 * 3 * 4 * 5,
    ],
    ["Relu", {}, [[2, 3]], [2, 3], 0],
    [
      "MatMul",
      {},
      [
        [2, null],
        [null, 4],
      ],
      [2, 4],
      null,
    ],
  ] as const)("%s %o", (opType, attributes, inputs, result, expected) => {
    const names = inputs.map((_, i) => `i${i}`);
    expect(nodeMacs(nodeOf(opType, names, ["y"], attributes), { inputs, outputs: [result] })).toBe(expected);
  });
});

test("other operations: pooling by window, reductions by input, activations by output, none for movement", () => {
  const pool = nodeOf("MaxPool", ["x"], ["y"], { kernel_shape: ints(3, 3) });
  expect(vectorFlops(pool, { inputs: [[1, 2, 8, 8]], outputs: [[1, 2, 6, 6]] })).toBe(2 * 36 * 9);
  expect(vectorFlops(nodeOf("ReduceMean", ["x"], ["y"]), { inputs: [[4, 5]], outputs: [[1, 1]] })).toBe(20);
  expect(vectorFlops(nodeOf("Relu", ["x"], ["y"]), { inputs: [[4, 5]], outputs: [[4, 5]] })).toBe(20);
  const sum = (inputs: number) =>
    vectorFlops(
      nodeOf(
        "Sum",
        Array.from({ length: inputs }, (_, i) => `x${i}`),
        ["y"],
      ),
      { inputs: [], outputs: [[4, 5]] },
    );
  expect([1, 2, 5].map(sum)).toEqual([0, 20, 80]);
  expect(vectorFlops(nodeOf("Reshape", ["x", "s"], ["y"]), { inputs: [[4, 5]], outputs: [[20]] })).toBe(0);
});

describe("totals", () => {
  const product = (name: string, weight: string) =>
    graphOf({ nodes: [nodeOf("MatMul", ["x", weight], [name])], outputs: [output(name)] });

  test("of an If the costlier branch counts", async () => {
    const model = modelOf({
      inputs: [input("x", [1, 2]), input("c", [], DataType.BOOL)],
      initializers: [floats("small", [2, 3]), floats("large", [2, 30])],
      nodes: [
        nodeOf("If", ["c"], ["y"], {
          then_branch: { type: "graph", value: product("t", "small") },
          else_branch: { type: "graph", value: product("e", "large") },
        }),
      ],
    });
    expect(modelMacs(model, await inferShapes(model))).toBe(60);
  });

  test.each([
    [[int64s("trips", [5], [])], 5 * 6],
    [[], null],
  ] as const)("a Loop counts once an iteration, if their number is known", async (trips, expected) => {
    const body = graphOf({
      inputs: [input("i", [], DataType.INT64), input("go", [], DataType.BOOL)],
      nodes: [nodeOf("Identity", ["go"], ["on"]), nodeOf("MatMul", ["x", "w"], ["s"])],
      outputs: [output("on"), output("s")],
    });
    const model = modelOf({
      inputs: [input("x", [1, 2]), input("trips", [], DataType.INT64)].slice(0, trips.length ? 1 : 2),
      initializers: [floats("w", [2, 3]), ...trips],
      nodes: [nodeOf("Loop", ["trips", ""], ["y"], { body: { type: "graph", value: body } })],
    });
    expect(modelMacs(model, await inferShapes(model))).toBe(expected);
  });

  test.each([
    ["lenet-300-100", 784 * 300 + 300 * 100 + 100 * 10],
    ["lenet-5", 576 * 20 * 25 + 64 * 50 * 500 + 800 * 500 + 500 * 10],
    // 28 steps of two layers: 3·96·(28 + 96) and 3·96·(96 + 96); then 96 → 10.
    ["gru-mnist", 28 * 288 * (28 + 96 + 96 + 96) + 960],
  ])("of %s are those of its architecture", async (name, expected) => {
    const real = realModels.find((model) => model.name === name);
    if (!real || real.missing) return expect(real?.missing).toMatch(/HONE_MODELS/);
    const model = await readModel(bytesSource(await real.bytes()));
    const { shapes } = await inferDefaultShapes(model);
    expect(modelMacs(model, shapes)).toBe(expected);
  });
});

describe("usual sizes", () => {
  test("1 for the batch, 224 for maps, 128 for lengths; sums of symbols follow", async () => {
    const model = modelOf({
      inputs: [
        input("image", ["N", 3, "H", "W"]),
        input("ids", ["batch", "seq"], DataType.INT64),
        input("mask", ["batch", "past + seq"], DataType.INT64),
        input("past", ["batch", 4, "past", 16]),
        input("unnamed", [null, null, 7]),
      ],
      nodes: [nodeOf("Relu", ["image"], ["y"])],
    });
    const { inputShapes, bindings } = await inferDefaultShapes(model);
    expect(inputShapes).toEqual({
      image: [1, 3, 224, 224],
      ids: [1, 128],
      mask: [1, 256],
      past: [1, 4, 128, 16],
      unnamed: [1, 128, 7],
    });
    expect(bindings).toMatchObject({ N: 1, H: 224, W: 224, batch: 1, seq: 128, past: 128 });
  });

  test("what the caller fixes stays", async () => {
    const model = modelOf({
      inputs: [input("x", ["N", 3, "H", "W"]), input("z", ["M", "K"])],
      nodes: [nodeOf("Relu", ["x"], ["y"])],
    });
    const fixed = { bindings: { N: 8, H: 64 }, inputShapes: { z: [2, 5] } };
    expect((await inferDefaultShapes(model, fixed)).inputShapes).toEqual({ x: [8, 3, 64, 224], z: [2, 5] });
  });

  test("give way where the model needs others: rows in multiples, maps that halve seven times", async () => {
    const grouped = modelOf({
      inputs: [input("x", ["V", 30])],
      initializers: [int64s("s", [-1, 49, 30])],
      nodes: [nodeOf("Reshape", ["x", "s"], ["y"])],
    });
    expect((await inferDefaultShapes(grouped)).inputShapes).toEqual({ x: [49, 30] });

    const halve = { kernel_shape: ints(2, 2), strides: ints(2, 2) };
    const halves = Array.from({ length: 7 }, (_, i) => nodeOf("MaxPool", [`h${i}`], [`h${i + 1}`], halve));
    const scale = nodeOf("Resize", ["h7", "", "k"], ["up"]);
    const unet = modelOf({
      inputs: [input("h0", ["N", 1, "H", "W"])],
      initializers: [floats("k", [4], [1, 1, 128, 128])],
      nodes: [...halves, scale, nodeOf("Add", ["up", "h0"], ["y"])],
    });
    const { inputShapes, shapes } = await inferDefaultShapes(unet);
    expect(shapes.warnings).toEqual([]);
    expect(inputShapes).toEqual({ h0: [1, 1, 256, 256] });
  });
});

test("the summary of a small model", async () => {
  const model = {
    ...modelOf({
      inputs: [input("x", ["N", 1, 8, 8])],
      outputs: [{ name: "y", type: { kind: "tensor", dataType: DataType.FLOAT, shape: ["N", 2] } }],
      initializers: [floats("w", [4, 1, 3, 3]), floats("b", [4]), floats("f", [2, 4])],
      nodes: [
        { ...nodeOf("Conv", ["x", "w", "b"], ["c"]), name: "conv" },
        nodeOf("Relu", ["c"], ["r"]),
        { ...nodeOf("Fancy", ["r"], ["r2"]), domain: "com.example" },
        nodeOf("NotAnOperator", ["r2"], ["r3"]),
        nodeOf("GlobalAveragePool", ["r"], ["p"]),
        nodeOf("Flatten", ["p"], ["q"]),
        { ...nodeOf("Gemm", ["q", "f"], ["y"], { transB: int(1) }), name: "head" },
      ],
    }),
    producerName: "test",
    producerVersion: "1.2",
  };
  expect(await inspectModel(model)).toMatchInlineSnapshot(`
    {
      "bytes": 484,
      "inputs": [
        {
          "name": "x",
          "shape": [
            "N",
            1,
            8,
            8,
          ],
          "type": "float",
        },
      ],
      "ir_version": 8,
      "layers": [
        {
          "bytes": 144,
          "macs": 1296,
          "name": "conv",
          "op": "Conv",
          "parameters": 36,
          "shape": [
            4,
            1,
            3,
            3,
          ],
          "weight": "w",
        },
        {
          "bytes": 32,
          "macs": 8,
          "name": "head",
          "op": "Gemm",
          "parameters": 8,
          "shape": [
            2,
            4,
          ],
          "weight": "f",
        },
      ],
      "macs": 1304,
      "nodes": 7,
      "operators": {
        "Conv": 1,
        "Flatten": 1,
        "Gemm": 1,
        "GlobalAveragePool": 1,
        "NotAnOperator": 1,
        "Relu": 1,
        "com.example.Fancy": 1,
      },
      "opset": 17,
      "opsets": [
        {
          "domain": "",
          "version": 17,
        },
      ],
      "outputs": [
        {
          "name": "y",
          "shape": [
            "N",
            2,
          ],
          "type": "float",
        },
      ],
      "parameters": 48,
      "producer": "test 1.2",
      "unknown_operators": [
        "NotAnOperator",
        "com.example.Fancy",
      ],
    }
  `);
});
