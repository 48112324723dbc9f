import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Graph, Model, Node } from "../../../src/onnx/model.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";
import { chain, input } from "./chain.ts";
import { floatsTensor, int64Tensor, printed, random, simplifiedAndSame } from "./check.ts";

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

  test("a model is told to be exactly what it was only where no node that stays was rewritten", async () => {
    const twice = [node("Sin", ["x"], ["a"]), node("Sin", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])];
    const shared = await simplify(chain(twice));
    expect(shared).toMatchObject({ exact: true, passes: [{ pass: "common-subexpressions", changes: 1 }] });
    const shifted = [node("Add", ["x", "one"], ["a"]), node("Add", ["a", "one"], ["y"])];
    const joined = await simplify(chain(shifted, [floatsTensor("one", [], [1])]));
    expect(joined.exact).toBe(false);
  });

  test("the same model gives the same bytes", async () => {
    const build = () =>
      chain([node("Sin", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Cos", ["b"], ["y"])]);
    const [one, two] = [await simplifiedAndSame(build(), input), await simplifiedAndSame(build(), input)];
    expect(two).toEqual(one);
  });
});
