import { describe, expect, test } from "vitest";
import { narrow } from "../../src/onnx/constant/half.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Graph, Node } from "../../src/onnx/model.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import type { TensorValue } from "../../src/onnx/tensor-value.ts";
import { floats, floatTensor, graphOf, int, modelOf, node, value } from "../compress/tiny.ts";
import { ALL, energy, expectedEnergy, fed, momentsOf, numbersOf, open, outputsOf } from "./moments-check.ts";

const bool = (one: boolean): TensorValue => ({
  dataType: DataType.BOOL,
  dims: [],
  data: Uint8Array.of(one ? 1 : 0),
});

function branches(name: string, condition: string, taken: Graph, other: Graph): Node {
  return node("If", [condition], [name], {
    then_branch: { type: "graph", value: taken },
    else_branch: { type: "graph", value: other },
  });
}

/** y = x·w in a graph of its own, the weight a Constant of that graph. */
function product(name: string, x: string, dims: readonly number[], seed: number): Graph {
  const tensor = floatTensor("", dims, floats(dims, seed));
  return graphOf({
    nodes: [
      node("Constant", [], [`${name}_w`], { value: { type: "tensor", value: tensor } }),
      node("MatMul", [x, `${name}_w`], [name]),
    ],
    outputs: [open(name)],
  });
}

describe("layers inside If", () => {
  const model = modelOf(
    graphOf({
      nodes: [branches("y", "c", product("t", "x", [3, 4], 1), product("e", "x", [3, 4], 2))],
      inputs: [value("x", [2, 3]), value("c", [], DataType.BOOL)],
      outputs: [open("y")],
    }),
  );
  const feed = (seed: number, taken: boolean) => ({ x: fed([2, 3], seed), c: bool(taken) });

  test("see the runs in which their branch was taken, and only those: energies to 1e-4", async () => {
    const feeds = [feed(1, true), feed(2, false), feed(3, true)];
    const found = await momentsOf(model, feeds);
    const outputs = (await outputsOf(model, feeds)).map(({ y }) => energy(numbersOf(y!)));
    expect(found.get("t")!.matrices![0]!.count).toBe(4);
    expect(found.get("e")!.matrices![0]!.count).toBe(2);
    expect((await expectedEnergy(model, found.get("t")!)) / (outputs[0]! + outputs[2]!)).toBeCloseTo(1, 4);
    expect((await expectedEnergy(model, found.get("e")!)) / outputs[1]!).toBeCloseTo(1, 4);
  });

  test("that is never taken have no moments, and the reason says so", async () => {
    const found = await momentsOf(model, [feed(1, true)]);
    expect(found.get("e")).toEqual({ layer: "e", matrices: null, reason: "the samples never reach it" });
  });

  test("inside If, of values made in the branch, each branch a shape of its own: energies to 1e-4", async () => {
    const relu = (graph: Graph): Graph => ({
      ...graph,
      nodes: [
        node("Relu", ["x"], ["r"]),
        ...graph.nodes.map((one) => ({
          ...one,
          inputs: one.inputs.map((name) => (name === "x" ? "r" : name)),
        })),
      ],
    });
    const inner = branches("i", "d", relu(product("a", "x", [3, 4], 1)), product("b", "x", [3, 5], 2));
    const nested = modelOf(
      graphOf({
        nodes: [
          branches("y", "c", graphOf({ nodes: [inner], outputs: [open("i")] }), product("e", "x", [3, 4], 3)),
        ],
        inputs: [value("x", [2, 3]), value("c", [], DataType.BOOL), value("d", [], DataType.BOOL)],
        outputs: [open("y")],
      }),
    );
    const feeds = [
      [true, true],
      [true, false],
      [false, true],
    ].map(([c, d], i) => ({ x: fed([2, 3], i + 5), c: bool(c!), d: bool(d!) }));
    const found = await momentsOf(nested, feeds);
    const outputs = (await outputsOf(nested, feeds)).map(({ y }) => energy(numbersOf(y!)));
    for (const [i, name] of ["a", "b", "e"].entries()) {
      expect(found.get(name)!.matrices![0]!.count).toBe(2);
      expect((await expectedEnergy(nested, found.get(name)!)) / outputs[i]!).toBeCloseTo(1, 4);
    }
  });

  test("make up for runs of the other branch: the vectors wanted are spread over what is left", async () => {
    const limits = { ...ALL, vectorsPerFeature: 0, fewestVectors: 6 };
    const feeds = Array.from({ length: 8 }, (_, i) => feed(i, i >= 4));
    const found = await momentsOf(model, feeds, { limits });
    expect(found.get("t")!.matrices![0]!.count).toBe(6);
    expect(found.get("e")!.matrices![0]!.count).toBeLessThan(6);
  });
});

describe("layers that have no moments say why", () => {
  test("the body of a Loop, a table, a weight seen in two ways, a weight that is quantized", async () => {
    const body = graphOf({
      nodes: [node("Identity", ["going"], ["on"]), node("MatMul", ["state", "w"], ["next"])],
      inputs: [value("i", [], DataType.INT64), value("going", [], DataType.BOOL), value("state", [2, 3])],
      outputs: [open("on", DataType.BOOL), open("next")],
    });
    const codes = tensorOf("q", { dataType: DataType.INT8, dims: [3, 3], data: new Int8Array(9).fill(2) });
    const model = modelOf(
      graphOf({
        nodes: [
          node("Loop", ["trips", "", "x"], ["looped"], { body: { type: "graph", value: body } }),
          node("Gather", ["table", "ids"], ["rows"]),
          node("MatMul", ["x", "v"], ["once"]),
          node("Gemm", ["x", "v"], ["again"], { transB: int(1) }),
          node("DequantizeLinear", ["q", "scale"], ["qw"]),
          node("MatMul", ["x", "qw"], ["quantized"]),
        ],
        initializers: [
          floatTensor("w", [3, 3], floats([3, 3])),
          floatTensor("v", [3, 4], floats([3, 4])),
          floatTensor("table", [5, 3], floats([5, 3])),
          floatTensor("scale", [], Float32Array.of(1)),
          codes,
          tensorOf("trips", { dataType: DataType.INT64, dims: [], data: BigInt64Array.of(2n) }),
          tensorOf("ids", { dataType: DataType.INT64, dims: [1], data: BigInt64Array.of(2n) }),
        ],
        inputs: [value("x", [2, 3])],
        outputs: ["looped", "rows", "once", "quantized"].map((name) => open(name)),
      }),
    );
    const found = await momentsOf(model, [{ x: fed([2, 3]) }]);
    expect(Object.fromEntries([...found.values()].map(({ layer, reason }) => [layer, reason]))).toEqual({
      next: "it is in the body of a Loop, whose values are not seen from outside",
      rows: "a table is looked up, not multiplied",
      once: "the nodes that use its weight see different matrices in it",
      quantized: "its weight is quantized already",
    });
  });

  test("of samples that are nowhere finite, that do not fit, or that are none", async () => {
    const model = modelOf(
      graphOf({
        nodes: [node("MatMul", ["x", "w"], ["y"])],
        initializers: [floatTensor("w", [3, 4], floats([3, 4]))],
        inputs: [value("x", [null, null])],
        outputs: [open("y")],
      }),
    );
    const x = { dataType: DataType.FLOAT, dims: [2, 3], data: new Float32Array(6).fill(Number.NaN) };
    expect((await momentsOf(model, [{ x }])).get("y")?.reason).toBe("the samples never reach it");
    expect((await momentsOf(model, [{ x: fed([2, 7]) }])).get("y")?.reason).toBe("the samples do not fit it");
    expect((await momentsOf(model, [])).get("y")?.reason).toBe("the samples never reach it");
  });
});

test("a batch of too many matrices is left out", async () => {
  const model = modelOf(
    graphOf({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [floatTensor("w", [20_000, 1, 1], floats([20_000, 1, 1]))],
      inputs: [value("x", [1, 1])],
      outputs: [open("y")],
    }),
  );
  expect((await momentsOf(model, [{ x: fed([1, 1]) }])).get("y")?.reason).toBe(
    "it is a batch of 20000 matrices",
  );
});

test("a weight of several nodes pools what they see: its energy is that of all their outputs to 1e-4", async () => {
  const model = modelOf(
    graphOf({
      nodes: [
        node("MatMul", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["h"]),
        node("MatMul", ["h", "w"], ["b"]),
        node("Concat", ["a", "b"], ["y"], { axis: int(0) }),
      ],
      initializers: [floatTensor("w", [4, 4], floats([4, 4]))],
      inputs: [value("x", [3, 4])],
      outputs: [open("y")],
    }),
  );
  const feeds = [{ x: fed([3, 4], 1) }, { x: fed([3, 4], 2) }];
  const moments = (await momentsOf(model, feeds)).get("a")!;
  const given = (await outputsOf(model, feeds)).reduce((sum, { y }) => sum + energy(numbersOf(y!)), 0);
  expect(moments.matrices![0]!.count).toBe(12);
  expect((await expectedEnergy(model, moments)) / given).toBeCloseTo(1, 4);
});

test("float16 values are widened: energy to 1%", async () => {
  const half = (dims: readonly number[], seed: number): TensorValue => ({
    dataType: DataType.FLOAT16,
    dims,
    data: narrow(DataType.FLOAT16, floats(dims, seed)),
  });
  const model = modelOf(
    graphOf({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [tensorOf("w", half([4, 6], 1))],
      inputs: [value("x", [5, 4], DataType.FLOAT16)],
      outputs: [value("y", [5, 6], DataType.FLOAT16)],
    }),
  );
  const feeds = [{ x: half([5, 4], 2) }];
  const given = energy(numbersOf((await outputsOf(model, feeds))[0]!.y!));
  const moments = (await momentsOf(model, feeds)).get("y")!;
  expect(Math.abs((await expectedEnergy(model, moments)) / given - 1)).toBeLessThan(0.01);
});
