import { describe, expect, test } from "vitest";
import { narrow } from "../../../src/onnx/constant/half.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Dim, Model, Node, Tensor } from "../../../src/onnx/model.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../../src/onnx/tensor-value.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "../../compress/tiny.ts";
import { tried } from "./check.ts";
import { MIXES } from "./mixes.ts";

function fed(dims: readonly number[], seed: number): TensorValue {
  return { dataType: DataType.FLOAT, dims, data: floats(dims, seed) };
}

function layer(
  nodes: readonly Node[],
  weights: Record<string, readonly number[]>,
  x: readonly Dim[],
  output = "y",
): Model {
  const initializers: Tensor[] = Object.entries(weights).map(([name, dims], i) =>
    floatTensor(name, dims, floats(dims, i + 3)),
  );
  return modelOf(graphOf({ nodes, initializers, inputs: [value("x", x)], outputs: [{ name: output }] }));
}

const conv = (attributes = {}) => node("Conv", ["x", "w", "b"], ["y"], attributes);
const image = [1, 6, 5, 5];

/** A layer, the shape of its input, and what of a plan's types it has. */
const LAYERS: Readonly<
  Record<string, { model: Model; dims: readonly number[]; types: readonly ("I" | "II" | "III")[] }>
> = {
  Conv: {
    model: layer([conv({ pads: ints(1, 1, 1, 1) })], { w: [8, 6, 3, 3], b: [8] }, image),
    dims: image,
    types: ["I", "II", "III"],
  },
  "Conv without bias, strided": {
    model: layer([node("Conv", ["x", "w"], ["y"], { strides: ints(2, 2) })], { w: [8, 6, 3, 3] }, image),
    dims: image,
    types: ["I", "II", "III"],
  },
  "grouped Conv": {
    model: layer([conv({ group: int(3) })], { w: [9, 2, 3, 3], b: [9] }, image),
    dims: image,
    types: ["I", "III"],
  },
  "depthwise Conv": {
    model: layer([conv({ group: int(6) })], { w: [6, 1, 3, 3], b: [6] }, image),
    dims: image,
    types: ["I", "III"],
  },
  ConvTranspose: {
    model: layer([node("ConvTranspose", ["x", "w", "b"], ["y"])], { w: [6, 8, 3, 3], b: [8] }, image),
    dims: image,
    types: ["I", "II", "III"],
  },
  "grouped ConvTranspose": {
    model: layer(
      [node("ConvTranspose", ["x", "w", "b"], ["y"], { group: int(3) })],
      { w: [6, 2, 3, 3], b: [6] },
      image,
    ),
    dims: image,
    types: ["I", "III"],
  },
  Gemm: {
    model: layer([node("Gemm", ["x", "w", "b"], ["y"])], { w: [7, 9], b: [9] }, [1, 7]),
    dims: [1, 7],
    types: ["I", "II", "III"],
  },
  "Gemm, transposed weight, scaled": {
    model: layer(
      [node("Gemm", ["x", "w", "b"], ["y"], { transB: int(1), alpha: { type: "float", value: 0.5 } })],
      { w: [9, 7], b: [1, 9] },
      [1, 7],
    ),
    dims: [1, 7],
    types: ["I", "II", "III"],
  },
  "Gemm, transposed input": {
    model: layer(
      [node("Gemm", ["x", "w", "b"], ["y"], { transA: int(1) })],
      { w: [7, 9], b: [4, 1] },
      [7, 4],
    ),
    dims: [7, 4],
    types: ["II", "III"],
  },
  "MatMul of tokens": {
    model: layer([node("MatMul", ["x", "w"], ["y"])], { w: [7, 9] }, [1, 4, 7]),
    dims: [1, 4, 7],
    types: ["I", "II", "III"],
  },
  "MatMul, weight on the left": {
    model: layer([node("MatMul", ["w", "x"], ["y"])], { w: [9, 7] }, [1, 7, 4]),
    dims: [1, 7, 4],
    types: ["II", "III"],
  },
  "MatMul, a batch of matrices": {
    model: layer([node("MatMul", ["x", "w"], ["y"])], { w: [2, 7, 9] }, [2, 4, 7]),
    dims: [2, 4, 7],
    types: ["II", "III"],
  },
};

describe("one layer gives what the whole gives, to 1e-4", () => {
  for (const [name, { model, dims, types }] of Object.entries(LAYERS)) {
    for (const type of types) {
      for (const [mixed, mix] of Object.entries(MIXES)) {
        test(`${name}, type ${type}, ${mixed}`, async () => {
          const feeds = Array.from({ length: 4 }, (_, i) => ({ x: fed(dims, i) }));
          const found = await tried({ model, feeds, mix, choose: () => ({ type, share: 0.7 }) });
          expect(found).toMatchObject({ status: "passed", undivided: [] });
          expect(found.devices).toBe(mix.reduce((sum, { count }) => sum + count, 0));
          expect(found.worst?.relative_error).toBeLessThan(1e-5);
        });
      }
    }
  }
});

describe("table lookups", () => {
  const indices: TensorValue = {
    dataType: DataType.INT64,
    dims: [5],
    data: BigInt64Array.of(0n, 8n, -1n, 4n, 2n),
  };
  const table = (axis: number) =>
    modelOf(
      graphOf({
        nodes: [node("Gather", ["w", "x"], ["y"], { axis: int(axis) })],
        initializers: [floatTensor("w", [9, 10], floats([9, 10]))],
        inputs: [value("x", [5], DataType.INT64)],
        outputs: [{ name: "y" }],
      }),
    );
  for (const type of ["II", "III"] as const) {
    for (const axis of [0, 1]) {
      test(`axis ${axis}, type ${type}: rows that a device has not are zeros, negative indices count from the end`, async () => {
        const found = await tried({
          model: table(axis),
          feeds: [{ x: indices }],
          mix: MIXES["three devices"]!,
          choose: () => ({ type, share: 0.4 }),
        });
        expect(found).toMatchObject({ status: "passed", undivided: [], worst: { relative_error: 0 } });
      });
    }
  }
});

test("a recurrent layer cannot be divided by hidden units and says so", async () => {
  const dims = [4, 1, 5];
  const model = layer(
    [node("GRU", ["x", "w", "r"], ["y"], { hidden_size: int(6) })],
    { w: [1, 18, 5], r: [1, 18, 6] },
    dims,
  );
  const found = await tried({
    model,
    feeds: [{ x: fed(dims, 1) }],
    mix: MIXES["two unlike devices"]!,
    choose: () => ({ type: "III", share: 0.5 }),
  });
  expect(found).toMatchObject({ status: "passed", undivided: ["y"] });
});

test("a device whose share is nothing stays idle", async () => {
  const dims = [1, 7];
  const model = layer([node("Gemm", ["x", "w", "b"], ["y"])], { w: [7, 9], b: [9] }, dims);
  for (const type of ["I", "II", "III"] as const) {
    const found = await tried({
      model,
      feeds: [{ x: fed(dims, 1) }, { x: fed(dims, 2) }],
      mix: MIXES["two unlike devices"]!,
      choose: () => ({ type, share: 0 }),
    });
    expect(found.status, type).toBe("passed");
  }
});

test("one weight in two layers, each divided in its own way", async () => {
  const dims = [1, 8];
  const model = layer(
    [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["r"]), node("MatMul", ["r", "w"], ["y"])],
    { w: [8, 8] },
    dims,
  );
  let layers = 0;
  const found = await tried({
    model,
    feeds: [{ x: fed(dims, 1) }],
    mix: MIXES["two unlike devices"]!,
    choose: () => ({ type: layers++ === 0 ? "III" : "II", share: 0.4 }),
  });
  expect(found).toMatchObject({ status: "passed", undivided: [] });
});

test("a weight behind decoding is computed once and sliced", async () => {
  const dims = [1, 6, 5, 5];
  const steps = { name: "steps", dataType: DataType.INT8, dims: [8, 6, 3, 3] };
  const count = elementCount(steps.dims);
  const bytes = Uint8Array.from({ length: count }, (_, i) => (i * 37) % 251);
  const model = modelOf(
    graphOf({
      nodes: [
        node("Cast", ["steps"], ["f"], { to: int(DataType.FLOAT) }),
        node("Mul", ["f", "scale"], ["w"]),
        node("Conv", ["x", "w"], ["y"]),
      ],
      initializers: [
        { ...steps, data: { kind: "raw", bytes } },
        floatTensor("scale", [], Float32Array.of(0.01)),
      ],
      inputs: [value("x", dims)],
      outputs: [{ name: "y" }],
    }),
  );
  const found = await tried({
    model,
    feeds: [{ x: fed(dims, 1) }],
    mix: MIXES["eight devices in two groups"]!,
    choose: (_, level) => ({ type: level % 2 === 0 ? "II" : "III", share: 0.6 }),
  });
  expect(found).toMatchObject({ status: "passed", undivided: [], not_run: [] });
});

test("a Loop runs whole, and the layers inside it are named", async () => {
  const dims = [1, 6];
  const body = graphOf({
    nodes: [
      node("Identity", ["go"], ["goes_on"]),
      node("MatMul", ["h", "w"], ["product"]),
      node("Tanh", ["product"], ["next"]),
    ],
    inputs: [value("i", [], DataType.INT64), value("go", [], DataType.BOOL), value("h", dims)],
    outputs: [value("goes_on", [], DataType.BOOL), value("next", dims)],
  });
  const count = { dataType: DataType.INT64, dims: [], data: BigInt64Array.of(3n) };
  const model = modelOf(
    graphOf({
      nodes: [
        node("MatMul", ["x", "w"], ["a"]),
        node("Loop", ["count", "", "a"], ["b"], { body: { type: "graph", value: body } }),
        node("MatMul", ["b", "w"], ["y"]),
      ],
      initializers: [floatTensor("w", [6, 6], floats([6, 6])), tensorOf("count", count)],
      inputs: [value("x", dims)],
      outputs: [{ name: "y" }],
    }),
  );
  const found = await tried({
    model,
    feeds: [{ x: fed(dims, 1) }],
    mix: MIXES["three devices"]!,
    choose: () => ({ type: "III", share: 0.4 }),
  });
  expect(found).toMatchObject({ status: "passed", not_run: [] });
  expect(found.undivided).toEqual([expect.stringContaining("product")]);
});

test("halves are compared by what rounding partial sums to them allows", async () => {
  const half = (dims: readonly number[], seed: number): TensorValue => ({
    dataType: DataType.FLOAT16,
    dims,
    data: narrow(DataType.FLOAT16, floats(dims, seed)),
  });
  const model = modelOf(
    graphOf({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [tensorOf("w", half([40, 9], 3))],
      inputs: [value("x", [1, 40], DataType.FLOAT16)],
      outputs: [value("y", [1, 9], DataType.FLOAT16)],
    }),
  );
  const found = await tried({
    model,
    feeds: [{ x: half([1, 40], 5) }],
    mix: MIXES["eight devices in two groups"]!,
    choose: () => ({ type: "II", share: 0.4 }),
  });
  expect(found).toMatchObject({ status: "passed", tolerance: 5e-3 });
});
