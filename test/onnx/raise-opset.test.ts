import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model, Node } from "../../src/onnx/model.ts";
import { raiseOpset } from "../../src/onnx/raise-opset/raise-opset.ts";
import { UnraisableOpsetError } from "../../src/onnx/raise-opset/rule.ts";
import { readModel } from "../../src/onnx/read.ts";
import { standardOpset } from "../../src/onnx/scope.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { validateModel } from "../../src/onnx/validate.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "../compress/tiny.ts";
import { realModel } from "../models/registry.ts";
import { testdataMissing, testModelBytes, testNames, testValues } from "./constant/testdata.ts";

/** All outputs in onnxruntime-web, without graph optimisation. */
async function outputsOf(model: Model, feeds: Feeds) {
  const session = await (await nodeRuntime()).load(await modelBytes(model), { optimization: "none" });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Expects the same outputs to 1e-5 of the largest number: the runtime has other kernels for some newer operators. */
function expectClose(outputs: Feeds, expected: Feeds, label: string) {
  expect(Object.keys(outputs), label).toEqual(Object.keys(expected));
  for (const [name, { dims, dataType, data }] of Object.entries(expected)) {
    const other = outputs[name]!;
    expect([other.dims, other.dataType], label).toEqual([dims, dataType]);
    let [largest, difference] = [1e-30, 0];
    for (let i = 0; i < data.length; i++) {
      if (Object.is(data[i], other.data[i])) continue;
      const [a, b] = [Number(data[i]), Number(other.data[i])];
      if (a === b) continue;
      largest = Math.max(largest, Math.abs(a));
      difference = Math.max(difference, Number.isNaN(a - b) ? Number.POSITIVE_INFINITY : Math.abs(a - b));
    }
    expect(difference / largest, `${label} ${name}`).toBeLessThan(1e-5);
  }
}

/** Raises the model, and compares its outputs before and after. */
async function expectSame(model: Model, feeds: Feeds, opset = 21) {
  const raised = await raiseOpset(model, opset);
  expect(standardOpset(raised)).toBe(opset);
  validateModel(raised);
  const before = await outputsOf(model, feeds);
  expectClose(await outputsOf(raised, feeds), before, `opset ${opset}`);
  return raised;
}

describe.skipIf(testdataMissing !== null)(
  `operator tests of ONNX compute the same at opset 21 to 1e-5${testdataMissing ? ` (${testdataMissing})` : ""}`,
  () => {
    // Every operator with a rule, and some without.
    const changed =
      /^test_(batchnorm|upsample|dropout|slice|top_?k|resize|clip|(constant|edge|reflect)_pad|scatter|squeeze|unsqueeze|split|log_?softmax|softmax|hardmax|roialign|reduce|averagepool|gridsample|gemm_default|lstm_defaults|gru_defaults|if|loop11|maxpool_2d_default|add_bcast|instancenorm)/;
    test("they run, and what cannot be raised says why", async () => {
      const refused: string[] = [];
      let compared = 0;
      for (const name of testNames().filter((one) => changed.test(one))) {
        const model = await readModel(bytesSource(await testModelBytes(name)));
        const from = standardOpset(model);
        if (from === undefined || from < 7 || from >= 21) continue;
        const values = await testValues(name, model);
        if (!values) continue;
        const feeds = Object.fromEntries(
          model.graph.inputs.map((input, i) => [input.name, values.inputs[i]!]),
        );
        const before = await outputsOf(model, feeds).catch(() => null);
        if (!before) continue;
        try {
          const raised = await raiseOpset(model, 21);
          validateModel(raised);
          expectClose(await outputsOf(raised, feeds), before, name);
          compared++;
        } catch (error) {
          if (!(error instanceof UnraisableOpsetError)) throw new Error(name, { cause: error });
          refused.push(`${name}: ${error.operator}`);
        }
      }
      expect(refused).toEqual([
        "test_averagepool_2d_ceil: AveragePool",
        "test_resize_downsample_sizes_nearest_tf_half_pixel_for_nn: Resize",
        "test_upsample_nearest: Upsample",
      ]);
      expect(compared).toBeGreaterThan(200);
    });
  },
);

const x = (dims: readonly number[]): Feeds => ({
  x: { dataType: DataType.FLOAT, dims, data: floats(dims, 3) },
});

function oldModel(nodes: readonly Node[], dims: readonly number[], opset: number, irVersion = 3): Model {
  return modelOf(graphOf({ nodes, inputs: [value("x", dims)], outputs: [value("y", [])] }), opset, irVersion);
}

/** The output's declared shape is not looked at. */
function withoutShape(model: Model): Model {
  const outputs = model.graph.outputs.map(({ name }) => ({
    name,
    type: { kind: "tensor" as const, dataType: DataType.FLOAT },
  }));
  return { ...model, graph: { ...model.graph, outputs } };
}

describe("operators of old opsets compute the same at opset 21 to 1e-5", () => {
  const cases: [string, Node[], number[], number][] = [
    ["Clip with one bound", [node("Clip", ["x"], ["y"], { max: { type: "float", value: 0.25 } })], [2, 3], 7],
    [
      "Pad with a value",
      [node("Pad", ["x"], ["y"], { pads: ints(0, 1, 2, 0), value: { type: "float", value: 2 } })],
      [2, 3],
      7,
    ],
    ["Slice to the end", [node("Slice", ["x"], ["y"], { starts: ints(1), ends: ints(2 ** 63) })], [4, 3], 7],
    [
      "Slice of an axis",
      [node("Slice", ["x"], ["y"], { starts: ints(-2), ends: ints(-1), axes: ints(1) })],
      [4, 3],
      7,
    ],
    ["TopK", [node("TopK", ["x"], ["y", "i"], { k: int(2) })], [4, 3], 7],
    ["Split", [node("Split", ["x"], ["a", "y"], { split: ints(1, 3), axis: int(0) })], [4, 3], 7],
    ["Split in equal parts", [node("Split", ["x"], ["a", "y"], { axis: int(0) })], [4, 3], 13],
    ["Softmax over several axes", [node("Softmax", ["x"], ["y"])], [2, 3, 4], 7],
    ["LogSoftmax over all axes", [node("LogSoftmax", ["x"], ["y"], { axis: int(0) })], [2, 3, 4], 11],
    ["Softmax of a matrix", [node("Softmax", ["x"], ["y"])], [2, 3], 7],
    [
      "Squeeze, Unsqueeze and sums",
      [
        node("Unsqueeze", ["x"], ["u"], { axes: ints(0, 2) }),
        node("ReduceSum", ["u"], ["s"], { axes: ints(3) }),
        node("ReduceMean", ["s"], ["m"], { axes: ints(1), keepdims: int(1) }),
        node("Squeeze", ["m"], ["y"], { axes: ints(0) }),
      ],
      [4, 3],
      7,
    ],
    ["ReduceMax of everything", [node("ReduceMax", ["x"], ["y"], { keepdims: int(0) })], [4, 3], 7],
    [
      "Upsample, nearest",
      [node("Upsample", ["x"], ["y"], { scales: { type: "floats", value: [1, 1, 2, 1.5] } })],
      [1, 2, 3, 4],
      7,
    ],
    [
      "Upsample, linear",
      [
        node("Upsample", ["x"], ["y"], {
          scales: { type: "floats", value: [1, 1, 2, 3] },
          mode: { type: "string", value: "linear" },
        }),
      ],
      [1, 2, 3, 4],
      7,
    ],
    ["Dropout", [node("Dropout", ["x"], ["y"], { ratio: { type: "float", value: 0.3 } })], [4, 3], 7],
  ];
  for (const [name, nodes, dims, opset] of cases) {
    test(name, async () => {
      const model = withoutShape(oldModel(nodes, dims, opset, 4));
      const raised = await expectSame(model, x(dims));
      expect(raised.irVersion).toBeGreaterThanOrEqual(10);
      await expectSame(model, x(dims), 14);
    });
  }

  test("inside an If as well", async () => {
    const branch = (filler: number) =>
      graphOf({
        nodes: [
          node("Pad", ["x"], [`p${filler}`], {
            pads: ints(0, 1, 0, 0),
            value: { type: "float", value: filler },
          }),
        ],
        outputs: [value(`p${filler}`, [2, 4])],
      });
    const nodes = [
      node("If", ["c"], ["y"], {
        then_branch: { type: "graph", value: branch(1) },
        else_branch: { type: "graph", value: branch(2) },
      }),
    ];
    const condition = tensorOf("c", { dataType: DataType.BOOL, dims: [], data: Uint8Array.of(0) });
    const graph = graphOf({
      nodes,
      initializers: [condition],
      inputs: [value("x", [2, 3])],
      outputs: [value("y", [2, 4])],
    });
    await expectSame(modelOf(graph, 10, 5), x([2, 3]));
  });

  test("initializers of IR version 3 stop being inputs", async () => {
    const graph = graphOf({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [floatTensor("w", [3, 2], floats([3, 2]))],
      inputs: [value("x", [4, 3]), value("w", [3, 2])],
      outputs: [value("y", [4, 2])],
    });
    const raised = await expectSame(modelOf(graph, 7, 3), x([4, 3]));
    expect(raised.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  });
});

describe("what cannot be raised is named", () => {
  const refusal = async (nodes: Node[], dims: number[], opset: number) => {
    const error = await raiseOpset(oldModel(nodes, dims, opset), 21).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(UnraisableOpsetError);
    return (error as UnraisableOpsetError).operator;
  };
  test("the operator, and why", async () => {
    expect(await refusal([node("NoSuchOperator", ["x"], ["y"])], [1], 12)).toBe("NoSuchOperator");
    expect(await refusal([node("Resize", ["x", "s"], ["y"])], [1, 1, 2, 2], 10)).toBe("Resize");
    expect(
      await refusal(
        [node("BatchNormalization", ["x", "a", "b", "c", "d"], ["y"], { spatial: int(0) })],
        [1],
        7,
      ),
    ).toBe("BatchNormalization");
  });
  test("other domains and newer models stay", async () => {
    const foreign = { ...node("NoSuchOperator", ["x"], ["y"]), domain: "com.example" };
    const model = oldModel([foreign], [1], 12);
    expect((await raiseOpset(model, 21)).graph).toEqual(model.graph);
    const newer = oldModel([node("Relu", ["x"], ["y"])], [1], 22);
    expect(await raiseOpset(newer, 21)).toBe(newer);
  });
});

describe("real models compute the same at opset 21", () => {
  for (const name of [
    "ocr-recogniser",
    "line-detector",
    "face-detector",
    "gru-mnist",
    "vit-mnist",
    "voice-activity",
  ]) {
    const real = realModel(name);
    test.skipIf(real.missing !== null)(`${name}${real.missing ? ` (${real.missing})` : ""}`, async () => {
      const model = await readModel(bytesSource(await real.bytes()));
      const [feeds] = await real.samples(1);
      await expectSame(model, feeds!);
    });
  }
});
