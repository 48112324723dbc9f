import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";
import { chain, input } from "./chain.ts";
import { floatsTensor, int64Tensor, printed, random, randomTensor, simplifiedAndSame } from "./check.ts";

describe("constants", () => {
  test("Constant nodes become initializers, in all their forms", async () => {
    const after = await simplifiedAndSame(
      chain([
        node("Constant", [], ["k"], {
          value: { type: "tensor", value: floatsTensor("", [3, 1], [1, 2, 3]) },
        }),
        node("Constant", [], ["f"], { value_float: { type: "float", value: 2.5 } }),
        node("Constant", [], ["s"], { value_ints: ints(-1, 3, 4) }),
        node("Mul", ["x", "k"], ["a"]),
        node("Sub", ["f", "a"], ["b"]),
        node("Reshape", ["b", "s"], ["c"]),
        node("Sin", ["c"], ["y"]),
      ]),
      input,
    );
    expect(printed(after.graph.nodes)).toBe("Mul(x, k) → a\nSub(f, a) → b\nSin(b) → y");
    expect(after.graph.initializers.map(({ name }) => name)).toEqual(["k", "f"]);
  });

  test("a fold that would make the file larger is left undone: Expand of one number to 65536", async () => {
    const model = modelOf(
      graphOf({
        inputs: [value("x", [256, 256])],
        outputs: [value("y", [256, 256])],
        nodes: [node("Expand", ["one", "s"], ["e"]), node("Mul", ["x", "e"], ["y"])],
        initializers: [floatsTensor("one", [1, 1], [3]), int64Tensor("s", [256, 256])],
      }),
    );
    const after = await simplifiedAndSame(model, { x: random([256, 256]) });
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Expand", "Mul"]);
  });

  test("a large value on the way to a small one is folded away, and a large weight through Transpose", async () => {
    const model = modelOf(
      graphOf({
        inputs: [value("x", ["N", 256])],
        outputs: [value("y", ["N", 300])],
        nodes: [
          node("Expand", ["one", "s"], ["e"]),
          node("ReduceSum", ["e", "axes"], ["k"]),
          node("Transpose", ["w"], ["t"], { perm: ints(1, 0) }),
          node("MatMul", ["x", "t"], ["m"]),
          node("Div", ["m", "k"], ["d"]),
          node("Sin", ["d"], ["y"]),
        ],
        initializers: [
          floatsTensor("one", [1, 1], [3]),
          int64Tensor("s", [16, 256]),
          int64Tensor("axes", [0, 1]),
          randomTensor("w", [300, 256]),
        ],
      }),
    );
    const after = await simplifiedAndSame(model, { x: random([5, 256]) });
    expect(after.graph.nodes.map(({ opType }) => opType).sort()).toEqual(["MatMul", "Sin"]);
  });

  test("what 10^12 elements would need is never made", async () => {
    const model = modelOf(
      graphOf({
        inputs: [value("x", [2])],
        outputs: [value("y", [2]), value("z", ["a"])],
        nodes: [node("ConstantOfShape", ["s"], ["z"]), node("Relu", ["x"], ["y"])],
        initializers: [int64Tensor("s", [10 ** 12])],
      }),
    );
    expect((await simplifiedAndSame(model)).graph.nodes).toHaveLength(2);
  });

  test("the shape of a static value is a constant, and a Reshape to a computed target needs no computing", async () => {
    const model = modelOf(
      graphOf({
        inputs: [value("x", ["N", 3, 4])],
        outputs: [value("y", ["N", 12])],
        nodes: [
          node("Shape", ["x"], ["s"]),
          node("Gather", ["s", "zero"], ["n"]),
          node("Unsqueeze", ["n", "zeros"], ["n1"]),
          node("Concat", ["n1", "twelve"], ["t"], { axis: int(0) }),
          node("Reshape", ["x", "t"], ["y"]),
        ],
        initializers: [int64Tensor("zero", [0], []), int64Tensor("zeros", [0]), int64Tensor("twelve", [12])],
      }),
    );
    const after = await simplifiedAndSame(model, input, { x: random([5, 3, 4]) });
    expect(printed(after.graph.nodes)).toBe("Reshape(x, t_folded) → y");
  });

  test("equal tensors become one, those that are outputs stay; unused ones go", async () => {
    const bytes = randomTensor("", [64, 64]);
    const model = modelOf(
      graphOf({
        inputs: [value("x", ["N", 64])],
        outputs: [value("y", ["N", 64]), value("c", [64, 64])],
        nodes: [node("MatMul", ["x", "a"], ["p"]), node("MatMul", ["p", "b"], ["y"])],
        initializers: ["a", "b", "c", "unused"].map((name) => ({ ...bytes, name })),
      }),
    );
    const after = await simplifiedAndSame(model, { x: random([2, 64]) });
    expect(printed(after.graph.nodes)).toBe("MatMul(x, a) → p\nMatMul(p, a) → y");
    expect(after.graph.initializers.map(({ name }) => name)).toEqual(["a", "c"]);
  });

  test("tensors that differ only in their first entry are kept apart", async () => {
    const data = random([64, 64]).data as Float32Array;
    const other = data.slice();
    other[0] = 9;
    const of = (name: string, entries: Float32Array) =>
      tensorOf(name, { dataType: DataType.FLOAT, dims: [64, 64], data: entries });
    const model = modelOf(
      graphOf({
        inputs: [value("x", ["N", 64])],
        outputs: [value("y", ["N", 64])],
        nodes: [node("MatMul", ["x", "a"], ["p"]), node("MatMul", ["p", "b"], ["y"])],
        initializers: [of("a", data), of("b", other)],
      }),
    );
    expect((await simplifiedAndSame(model, { x: random([2, 64]) })).graph.initializers).toHaveLength(2);
  });
});

describe("common subexpressions and dead nodes, outputs equal", () => {
  test("equal nodes become one, and what nobody needs goes", async () => {
    const after = await simplifiedAndSame(
      chain([
        node("Sin", ["x"], ["a"]),
        node("Sin", ["x"], ["b"]),
        node("Cos", ["a"], ["c"]),
        node("Cos", ["b"], ["d"]),
        node("Tan", ["x"], ["unused"]),
        node("Tan", ["unused"], ["unused2"]),
        node("Add", ["c", "d"], ["y"]),
      ]),
      input,
    );
    expect(printed(after.graph.nodes)).toBe("Sin(x) → a\nCos(a) → c\nAdd(c, c) → y");
  });

  test("attributes that differ keep nodes apart: infinities, −0, and integers that were rounded on reading", async () => {
    const leaky = (output: string, alpha: number) =>
      node("LeakyRelu", ["x"], [output], { alpha: { type: "float", value: alpha } });
    const after = await simplifiedAndSame(
      chain([
        leaky("a", Number.POSITIVE_INFINITY),
        leaky("b", Number.NEGATIVE_INFINITY),
        node("Min", ["a", "b"], ["y"]),
      ]),
      input,
    );
    expect(after.graph.nodes).toHaveLength(3);
  });

  test("random nodes are neither merged nor removed", async () => {
    const attributes = { shape: ints(2, 3, 4) };
    const model = chain([
      node("RandomNormal", [], ["a"], attributes),
      node("RandomNormal", [], ["b"], attributes),
      node("RandomNormal", [], ["c"], attributes),
      node("Sub", ["a", "b"], ["d"]),
      node("Add", ["x", "d"], ["y"]),
    ]);
    expect((await simplifiedAndSame(model)).graph.nodes).toHaveLength(5);
  });

  test("nodes of an unknown domain stay as they are, used or not", async () => {
    const custom = (output: string) => ({ ...node("Thing", ["x"], [output]), domain: "com.example" });
    const model = chain([custom("a"), custom("b"), custom("c"), node("Add", ["a", "b"], ["y"])]);
    const withDomain = {
      ...model,
      opsetImports: [...model.opsetImports, { domain: "com.example", version: 1 }],
    };
    expect((await simplifiedAndSame(withDomain)).graph.nodes).toHaveLength(4);
  });
});
