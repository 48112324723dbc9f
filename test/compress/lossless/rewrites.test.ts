import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { graphAttribute } from "../../../src/onnx/edit.ts";
import type { Graph, Model, Node } from "../../../src/onnx/model.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";
import { floatsTensor, int64Tensor, printed, random, randomTensor, simplifiedAndSame } from "./check.ts";

const graph = (value: Graph) => ({ type: "graph" as const, value });
const bool = (truth: boolean): TensorValue => ({
  dataType: DataType.BOOL,
  dims: [],
  data: Uint8Array.of(truth ? 1 : 0),
});

/** A chain x → … → y of nodes over [2, 3, 4], with constants. */
function chain(nodes: readonly Node[], initializers: Graph["initializers"] = [], opset = 14): Model {
  const shape = ["N", 3, 4];
  return modelOf(
    graphOf({ inputs: [value("x", shape)], outputs: [value("y", shape)], nodes, initializers }),
    opset,
  );
}

const input = { x: random([2, 3, 4]) };

describe("no-ops, outputs equal", () => {
  const scalar = (name: string, entry: number) => floatsTensor(name, [], [entry]);
  const cases: [string, Node, Graph["initializers"]][] = [
    ["Identity", node("Identity", ["x"], ["a"]), []],
    ["Dropout at inference", node("Dropout", ["x"], ["a", "mask"]), []],
    ["Cast to the same type", node("Cast", ["x"], ["a"], { to: int(DataType.FLOAT) }), []],
    ["Transpose that moves nothing", node("Transpose", ["x"], ["a"], { perm: ints(0, 1, 2) }), []],
    ["Reshape to the same shape", node("Reshape", ["x", "s"], ["a"]), [int64Tensor("s", [-1, 3, 4])]],
    ["Reshape that copies every size", node("Reshape", ["x", "s"], ["a"]), [int64Tensor("s", [0, 0, 0])]],
    ["Tile by 1", node("Tile", ["x", "s"], ["a"]), [int64Tensor("s", [1, 1, 1])]],
    ["Pad by 0", node("Pad", ["x", "p"], ["a"]), [int64Tensor("p", [0, 0, 0, 0, 0, 0])]],
    [
      "Slice of everything",
      node("Slice", ["x", "b", "e"], ["a"]),
      [int64Tensor("b", [0, 0]), int64Tensor("e", [2 ** 40, 2 ** 40])],
    ],
    ["Concat of one", node("Concat", ["x"], ["a"], { axis: int(1) }), []],
    ["Sum of one", node("Sum", ["x"], ["a"]), []],
    ["x + 0", node("Add", ["zero", "x"], ["a"]), [scalar("zero", 0)]],
    ["x − 0", node("Sub", ["x", "zero"], ["a"]), [floatsTensor("zero", [3, 1], [0, 0, 0])]],
    ["x · 1", node("Mul", ["x", "one"], ["a"]), [scalar("one", 1)]],
    ["x ÷ 1", node("Div", ["x", "one"], ["a"]), [scalar("one", 1)]],
    ["x to the power of 1", node("Pow", ["x", "one"], ["a"]), [scalar("one", 1)]],
    ["Clip without bounds", node("Clip", ["x"], ["a"]), []],
    ["AveragePool of one entry", node("AveragePool", ["x"], ["a"], { kernel_shape: ints(1) }), []],
  ];
  for (const [title, noOp, constants] of cases) {
    test(`${title} goes, between nodes and at the output`, async () => {
      const inner = await simplifiedAndSame(chain([noOp, node("Relu", ["a"], ["y"])], constants), input);
      expect(printed(inner.graph.nodes)).toBe("Relu(x) → y");
      expect(inner.graph.initializers).toHaveLength(0);
      const renamed = { ...noOp, inputs: noOp.inputs.map((name) => (name === "x" ? "r" : name)) };
      const outer = [node("Relu", ["x"], ["r"]), { ...renamed, outputs: ["y", ...noOp.outputs.slice(1)] }];
      const last = await simplifiedAndSame(chain(outer, constants), input);
      expect(printed(last.graph.nodes)).toBe("Relu(x) → y");
    });
  }

  test("what looks like one but is not stays: widening + 0, 0 − x, 1 ÷ x, an Identity from input to output", async () => {
    const widening = modelOf(
      graphOf({
        inputs: [value("x", [1, 3, 4])],
        outputs: [value("y", [5, 3, 4])],
        nodes: [node("Add", ["x", "zero"], ["y"])],
        initializers: [floatsTensor("zero", [5, 1, 1], [0, 0, 0, 0, 0])],
      }),
    );
    expect((await simplifiedAndSame(widening, { x: random([1, 3, 4]) })).graph.nodes).toHaveLength(1);
    const zero = [floatsTensor("k", [], [0])];
    const one = [floatsTensor("k", [], [1])];
    for (const [kept, constants] of [
      [node("Sub", ["k", "x"], ["y"]), zero],
      [node("Div", ["k", "x"], ["y"]), one],
      [node("Identity", ["x"], ["y"]), []],
    ] as const) {
      expect((await simplifiedAndSame(chain([kept], constants), input)).graph.nodes).toHaveLength(1);
    }
  });
});

describe("chains, outputs within 1e-5", () => {
  const cases: [string, Node[], Graph["initializers"], string][] = [
    [
      "two Transposes that undo each other",
      [
        node("Transpose", ["x"], ["a"], { perm: ints(2, 0, 1) }),
        node("Transpose", ["a"], ["b"], { perm: ints(1, 2, 0) }),
        node("Relu", ["b"], ["y"]),
      ],
      [],
      "Relu(x) → y",
    ],
    [
      "Unsqueeze, then Reshape",
      [
        node("Unsqueeze", ["x", "axes"], ["a"]),
        node("Reshape", ["a", "s"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Reshape", ["c", "t"], ["y"]),
      ],
      [int64Tensor("axes", [1]), int64Tensor("s", [-1, 12]), int64Tensor("t", [-1, 3, 4])],
      "Reshape(x, s) → b\nRelu(b) → c\nReshape(c, t) → y",
    ],
    [
      "sums and products of constants",
      [
        node("Add", ["x", "p"], ["a"]),
        node("Add", ["q", "a"], ["b"]),
        node("Mul", ["b", "p"], ["c"]),
        node("Mul", ["c", "q"], ["y"]),
      ],
      [floatsTensor("p", [], [0.7]), floatsTensor("q", [], [1.9])],
      "Add(x, q_folded) → b\nMul(b, p) → y",
    ],
    [
      "Relu in front of Clip from 0",
      [node("Relu", ["x"], ["a"]), node("Clip", ["a", "l", "h"], ["y"])],
      [floatsTensor("l", [], [0]), floatsTensor("h", [], [0.5])],
      "Clip(x, l, h) → y",
    ],
  ];
  for (const [title, nodes, constants, expected] of cases) {
    test(`${title} become fewer`, async () => {
      const after = await simplifiedAndSame(chain(nodes, constants), input);
      expect(printed(after.graph.nodes)).toBe(expected);
    });
  }

  test("a Concat in a Concat of the same axis becomes one; of another axis it stays", async () => {
    const build = (axis: number) =>
      modelOf(
        graphOf({
          inputs: [value("x", [2, 3, 4])],
          outputs: [value("y", axis === 1 ? [2, 9, 4] : [4, 3, 8])],
          nodes: [
            node("Relu", ["x"], ["r"]),
            node("Concat", ["x", "r"], ["a"], { axis: int(1) }),
            axis === 1
              ? node("Concat", ["a", "x"], ["y"], { axis: int(1) })
              : node("Concat", ["a", "a"], ["y"], { axis: int(2) }),
          ],
        }),
      );
    const same = await simplifiedAndSame(build(1), input);
    expect(printed(same.graph.nodes)).toBe("Relu(x) → r\nConcat(x, r, x) → y");
    const other = build(2);
    const declared = { ...other, graph: { ...other.graph, outputs: [value("y", [2, 6, 8])] } };
    expect((await simplifiedAndSame(declared, input)).graph.nodes).toHaveLength(3);
  });
});

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

describe("long models", () => {
  test("20,000 nodes in a row become one, whatever they are", async () => {
    const length = 20_000;
    const row = (make: (from: string, to: string) => Node) =>
      Array.from({ length }, (_, i) => make(i === 0 ? "x" : `v${i}`, i === length - 1 ? "y" : `v${i + 1}`));
    for (const nodes of [
      row((from, to) => node("Relu", [from], [to])),
      row((from, to) => node("Transpose", [from], [to], { perm: ints(0, 1, 2) })),
      row((from, to) => node("Add", [from, "k"], [to])),
    ]) {
      const model = chain(nodes, [floatsTensor("k", [], [0.5])]);
      expect((await simplify(model)).model.graph.nodes).toHaveLength(1);
    }
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

describe("subgraphs, outputs within 1e-5", () => {
  const branch = (output: string, nodes: readonly Node[], initializers: Graph["initializers"] = []) =>
    graph(graphOf({ nodes, outputs: [value(output, ["N", 3, 4])], initializers }));

  test("an If with a constant condition becomes its branch; names that are taken are not taken twice", async () => {
    const nodes = [
      node("Sin", ["x"], ["a"]),
      node("If", ["yes"], ["b"], {
        then_branch: branch(
          "t2",
          [node("Mul", ["a", "k"], ["t"]), node("Sin", ["t"], ["t2"])],
          [randomTensor("k", [3, 4], 7)],
        ),
        else_branch: branch("t", [node("Identity", ["a"], ["t"])]),
      }),
      node("If", ["no"], ["y"], {
        then_branch: branch("t2", [node("Identity", ["x"], ["t2"])]),
        else_branch: branch(
          "t2",
          [node("Mul", ["b", "k"], ["t"]), node("Cos", ["t"], ["t2"])],
          [randomTensor("k", [3, 4], 8)],
        ),
      }),
    ];
    const conditions = [tensorOf("yes", bool(true)), tensorOf("no", bool(false))];
    const after = await simplifiedAndSame(chain(nodes, conditions), input);
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Sin", "Mul", "Sin", "Mul", "Cos"]);
  });

  test("an If that is decided at run time keeps both branches, each simplified within itself", async () => {
    const nodes = [
      node("Identity", ["x"], ["a"]),
      node("If", ["c"], ["y"], {
        then_branch: branch(
          "t",
          [node("Identity", ["a"], ["i"]), node("Mul", ["one", "i"], ["m"]), node("Sin", ["m"], ["t"])],
          [floatsTensor("one", [], [1])],
        ),
        else_branch: branch("t", [node("Identity", ["a"], ["t"])]),
      }),
    ];
    const model = chain(nodes);
    const withCondition = {
      ...model,
      graph: { ...model.graph, inputs: [...model.graph.inputs, value("c", [], DataType.BOOL)] },
    };
    const after = await simplifiedAndSame(
      withCondition,
      { ...input, c: bool(true) },
      { ...input, c: bool(false) },
    );
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["If"]);
    const [conditional] = after.graph.nodes;
    expect(printed(graphAttribute(conditional!, "then_branch")!.nodes)).toBe("Sin(x) → t");
    expect(printed(graphAttribute(conditional!, "else_branch")!.nodes)).toBe("Identity(x) → t");
  });

  test("a Loop's body is simplified and its carried values stay", async () => {
    const body = graphOf({
      inputs: [value("i", [], DataType.INT64), value("going", [], DataType.BOOL), value("v", ["N", 3, 4])],
      outputs: [value("going_out", [], DataType.BOOL), value("v_out", ["N", 3, 4])],
      nodes: [
        node("Identity", ["going"], ["going_out"]),
        node("Identity", ["v"], ["v1"]),
        node("Constant", [], ["h"], { value_float: { type: "float", value: 0.5 } }),
        node("Mul", ["v1", "h"], ["v2"]),
        node("Add", ["v2", "x"], ["v_out"]),
      ],
    });
    const model = chain(
      [node("Loop", ["times", "", "x"], ["y"], { body: graph(body) })],
      [int64Tensor("times", [3], [])],
    );
    const after = await simplifiedAndSame(model, input);
    const inner = graphAttribute(after.graph.nodes[0]!, "body")!;
    expect(printed(inner.nodes)).toBe("Identity(going) → going_out\nMul(v, h) → v2\nAdd(v2, x) → v_out");
  });
});

describe("what is dropped and what is kept", () => {
  test("value_info and documentation go; metadata, names and a model-local function stay", async () => {
    const model: Model = {
      ...chain([
        { ...node("Relu", ["x"], ["a"]), docString: "why" },
        { ...node("Twice", ["a"], ["y"]), domain: "local" },
      ]),
      docString: "a model",
      metadata: [{ key: "author", value: "somebody" }],
      functions: [
        {
          name: "Twice",
          domain: "local",
          inputs: ["p"],
          outputs: ["q"],
          nodes: [node("Identity", ["p"], ["r"]), node("Add", ["r", "p"], ["q"])],
          ...{ opsetImports: undefined },
        },
      ],
    };
    const full: Model = {
      ...model,
      opsetImports: [...model.opsetImports, { domain: "local", version: 1 }],
      graph: { ...model.graph, docString: "a graph", valueInfo: [value("a", ["N", 3, 4])] },
    };
    const after = await simplifiedAndSame(full);
    expect(after.docString).toBeUndefined();
    expect(after.graph.docString).toBeUndefined();
    expect(after.graph.valueInfo).toEqual([]);
    expect(after.graph.nodes[0]!.docString).toBeUndefined();
    expect(after.metadata.map(({ key, value }) => [key, value])).toEqual([["author", "somebody"]]);
    expect(after.graph.nodes.map(({ name }) => name)).toEqual(["a", "y"]);
    expect(after.functions[0]!.nodes).toHaveLength(2);
  });

  test("the same model gives the same bytes", async () => {
    const build = () =>
      chain([node("Sin", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Cos", ["b"], ["y"])]);
    const [one, two] = [await simplifiedAndSame(build(), input), await simplifiedAndSame(build(), input)];
    expect(two).toEqual(one);
  });
});
