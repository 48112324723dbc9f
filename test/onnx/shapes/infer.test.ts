import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Graph, Model, Node } from "../../../src/onnx/model.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { floats, graphOf, input, int64s, modelOf, nodeOf, output, shapeText } from "./graphs.ts";

/** x → shape of one node's first output. */
function one(node: Node, opset: number, ...parts: Partial<Graph>[]): Promise<string> {
  return shapeText(modelOf(Object.assign({ nodes: [node] }, ...parts), opset), node.outputs[0] ?? "");
}

const x = { inputs: [input("x", ["N", 1, 28, 28])] };
const ints = (...value: number[]) => ({ type: "ints", value }) as const;
const int = (value: number) => ({ type: "int", value }) as const;

describe("an argument that moved from an attribute to an input gives the same shape in both forms", () => {
  test.each([
    ["Squeeze", 11, { axes: ints(1) }, [], 13, [1], "[N, 28, 28]"],
    ["Unsqueeze", 11, { axes: ints(0, -1) }, [], 13, [0, -1], "[1, N, 1, 28, 28, 1]"],
    ["ReduceMean", 17, { axes: ints(2, 3) }, [], 18, [2, 3], "[N, 1, 1, 1]"],
    ["ReduceSum", 12, { axes: ints(-1) }, [], 13, [-1], "[N, 1, 28, 1]"],
    ["Pad", 10, { pads: ints(0, 0, 1, 2, 0, 0, 3, 4) }, [], 11, [0, 0, 1, 2, 0, 0, 3, 4], "[N, 1, 32, 34]"],
    ["Split", 12, { split: ints(10, 18), axis: int(2) }, [], 13, [10, 18], "[N, 1, 10, 28]"],
    ["TopK", 9, { k: int(5) }, [], 11, [5], "[N, 1, 28, 5]"],
    ["Reshape", 4, { shape: ints(0, -1) }, [], 14, [0, -1], "[N, 784]"],
  ] as const)("%s", async (opType, older, attributes, _, newer, values, expected) => {
    const outputs = opType === "Split" ? ["y", "z"] : ["y"];
    const kept: Record<string, ReturnType<typeof int>> = opType === "Split" ? { axis: int(2) } : {};
    expect(await one(nodeOf(opType, ["x"], outputs, attributes), older, x)).toBe(expected);
    const initializers = [int64s("v", values)];
    expect(await one(nodeOf(opType, ["x", "v"], outputs, kept), newer, x, { initializers })).toBe(expected);
  });

  test("Slice", async () => {
    const attributes = { starts: ints(2, -8), ends: ints(9, 2 ** 40), axes: ints(2, 3) };
    expect(await one(nodeOf("Slice", ["x"], ["y"], attributes), 9, x)).toBe("[N, 1, 7, 8]");
    const initializers = [
      int64s("s", [2, -8]),
      int64s("e", [9, 2 ** 40]),
      int64s("a", [2, 3]),
      int64s("t", [3, 1]),
    ];
    const node = nodeOf("Slice", ["x", "s", "e", "a", "t"], ["y"]);
    expect(await one(node, 13, x, { initializers })).toBe("[N, 1, 3, 8]");
  });

  test("Resize: scales as the second input in opset 10, third in 11, sizes fourth", async () => {
    const initializers = [floats("s", [4], [1, 1, 2, 0.5]), int64s("n", [1, 1, 7, 9])];
    expect(await one(nodeOf("Resize", ["x", "s"], ["y"]), 10, x, { initializers })).toBe("[N, 1, 56, 14]");
    expect(await one(nodeOf("Resize", ["x", "", "s"], ["y"]), 11, x, { initializers })).toBe(
      "[N, 1, 56, 14]",
    );
    expect(await one(nodeOf("Resize", ["x", "", "", "n"], ["y"]), 13, x, { initializers })).toBe(
      "[1, 1, 7, 9]",
    );
  });

  test("Upsample: scales as attribute in opset 7, as input in 9", async () => {
    const attributes = { scales: { type: "floats", value: [1, 1, 2, 2] } } as const;
    expect(await one(nodeOf("Upsample", ["x"], ["y"], attributes), 7, x)).toBe("[N, 1, 56, 56]");
    const initializers = [floats("s", [4], [1, 1, 2, 2])];
    expect(await one(nodeOf("Upsample", ["x", "s"], ["y"]), 9, x, { initializers })).toBe("[N, 1, 56, 56]");
  });
});

describe("symbols", () => {
  const inputs = [input("x", ["N", 3, "H", "W"]), input("w", [8, 3, 3, 3])];

  test("stay through elementwise operators, broadcasting and convolutions that keep the size", async () => {
    const model = modelOf({
      inputs: [...inputs, input("b", [3, 1, 1])],
      nodes: [
        nodeOf("Add", ["x", "b"], ["a"]),
        nodeOf("Relu", ["a"], ["r"]),
        nodeOf("Conv", ["r", "w"], ["y"], { pads: ints(1, 1, 1, 1) }),
      ],
    });
    expect(await shapeText(model, "y")).toBe("[N, 8, H, W]");
    expect(await shapeText(model, "y", { bindings: { H: 32 } })).toBe("[N, 8, 32, W]");
  });

  test("are bound by the shapes of the inputs, everywhere", async () => {
    const model = modelOf({ inputs, nodes: [nodeOf("Conv", ["x", "w"], ["y"], { strides: ints(2, 2) })] });
    expect(await shapeText(model, "y")).toBe("[N, 8, ?, ?]");
    expect(await shapeText(model, "y", { inputShapes: { x: [2, 3, 33, 65] } })).toBe("[2, 8, 16, 32]");
  });

  test("pass through Shape, Gather, Concat and Reshape, and cancel against -1", async () => {
    const model = modelOf({
      inputs: [input("x", ["N", 49, 64])],
      initializers: [
        int64s("zero", [0], []),
        int64s("heads", [4]),
        int64s("minus", [-1]),
        int64s("axes", [0]),
      ],
      nodes: [
        nodeOf("Shape", ["x"], ["s"]),
        nodeOf("Gather", ["s", "zero"], ["n"]),
        nodeOf("Unsqueeze", ["n", "axes"], ["n1"]),
        nodeOf("Concat", ["n1", "minus", "heads"], ["target"], { axis: int(0) }),
        nodeOf("Reshape", ["x", "target"], ["y"]),
      ],
    });
    expect(await shapeText(model, "y")).toBe("[N, 784, 4]");
    const shapes = await inferShapes(model);
    expect(shapes.elementsOf(model.graph, "target")).toEqual(["N", -1, 4]);
  });

  test("survive arithmetic that does not change them; other elements are computed or unknown", async () => {
    const model = modelOf({
      inputs: [input("x", ["N", 10, "W"])],
      initializers: [int64s("f", [1, 3, 2])],
      nodes: [
        nodeOf("Shape", ["x"], ["s"]),
        nodeOf("Mul", ["s", "f"], ["m"]),
        nodeOf("ConstantOfShape", ["m"], ["y"]),
      ],
    });
    expect(await shapeText(model, "y")).toBe("[N, 30, ?]");
    expect(await shapeText(model, "y", { bindings: { W: 7 } })).toBe("[N, 30, 14]");
  });
});

test("sizes of a Resize that are computed in floating point fall the same way as in ONNX Runtime", async () => {
  const model = modelOf({
    inputs: [input("x", [1, 3, 25, 31])],
    initializers: [
      int64s("i2", [2]),
      int64s("i4", [4]),
      int64s("lead", [1, 3]),
      floats("scale", [2], [1.5, 0.7]),
    ],
    nodes: [
      nodeOf("Shape", ["x"], ["s"]),
      nodeOf("Slice", ["s", "i2", "i4"], ["hw"]),
      nodeOf("Cast", ["hw"], ["f"], { to: int(DataType.FLOAT) }),
      nodeOf("Mul", ["f", "scale"], ["m"]),
      nodeOf("Floor", ["m"], ["fl"]),
      nodeOf("Cast", ["fl"], ["c"], { to: int(DataType.INT64) }),
      nodeOf("Concat", ["lead", "c"], ["sizes"], { axis: int(0) }),
      nodeOf("Resize", ["x", "", "", "sizes"], ["y"]),
    ],
  });
  expect(await shapeText(model, "y")).toBe("[1, 3, 37, 21]");
});

describe("control flow", () => {
  const branch = (name: string, ...nodes: Node[]) => graphOf({ nodes, outputs: [output(name)] });
  const ifNode = (thenBranch: Graph, elseBranch: Graph) =>
    nodeOf("If", ["c"], ["y"], {
      then_branch: { type: "graph", value: thenBranch },
      else_branch: { type: "graph", value: elseBranch },
    });
  const inputs = [input("x", ["N", 4]), input("c", [], DataType.BOOL)];
  const relu = branch("t", nodeOf("Relu", ["x"], ["t"]));

  test("If keeps what its branches agree on, and the subgraphs' own values are there", async () => {
    const wide = branch("e", nodeOf("Concat", ["x", "x"], ["e"], { axis: int(1) }));
    const model = modelOf({ inputs, nodes: [ifNode(relu, wide)] });
    expect(await shapeText(model, "y")).toBe("[N, ?]");
    const shapes = await inferShapes(model);
    expect(shapes.of(wide, "e")?.dims).toEqual(["N", 8]);
    expect(shapes.of(wide, "x")?.dims).toEqual(["N", 4]);
  });

  test("a branch that cannot run with these shapes does not count", async () => {
    const bad = branch("e", nodeOf("Squeeze", ["x"], ["e"], { axes: ints(1) }));
    const model = modelOf({ inputs, nodes: [ifNode(relu, bad)] }, 11);
    expect(await shapeText(model, "y")).toBe("[N, 4]");
    expect((await inferShapes(model)).warnings).toEqual([]);
  });

  test("a known condition decides", async () => {
    const wide = branch("e", nodeOf("Concat", ["x", "x"], ["e"], { axis: int(1) }));
    const yes = tensorOf("c", { dataType: DataType.BOOL, dims: [], data: Uint8Array.of(0) });
    const model = modelOf({ inputs: inputs.slice(0, 1), initializers: [yes], nodes: [ifNode(relu, wide)] });
    expect(await shapeText(model, "y")).toBe("[N, 8]");
  });

  test("Loop: state that grows is unknown along that axis, scan outputs have the trip count in front", async () => {
    const body = graphOf({
      inputs: [input("i", [], DataType.INT64), input("go", [], DataType.BOOL), { name: "s" }],
      nodes: [
        nodeOf("Identity", ["go"], ["go_on"]),
        nodeOf("Concat", ["s", "s"], ["s_next"], { axis: int(1) }),
        nodeOf("Relu", ["x"], ["scan"]),
      ],
      outputs: [output("go_on"), output("s_next"), output("scan")],
    });
    const model = modelOf({
      inputs: [input("x", [2, 4])],
      initializers: [int64s("trips", [6], [])],
      nodes: [nodeOf("Loop", ["trips", "", "x"], ["last", "all"], { body: { type: "graph", value: body } })],
    });
    expect(await shapeText(model, "last")).toBe("[2, ?]");
    expect(await shapeText(model, "all")).toBe("[6, 2, 4]");
  });
});

describe("what a file declares", () => {
  const declared = (name: string, shape: readonly (number | string | null)[]) => ({
    name,
    type: { kind: "tensor", dataType: DataType.FLOAT, shape } as const,
  });

  test("fills in for an unknown operator, which is no error", async () => {
    const custom = { ...nodeOf("Mystery", ["x"], ["m"]), domain: "com.example" };
    const nodes = [custom, nodeOf("Relu", ["m"], ["y"])];
    const parts = { inputs: [input("x", [1, 2])], nodes };
    expect(await shapeText(modelOf(parts), "y")).toBe("?");
    expect(await shapeText(modelOf({ ...parts, valueInfo: [declared("m", ["N", 7])] }), "y")).toBe("[N, 7]");
  });

  test("gives way to what the rule knows, with a warning where they differ", async () => {
    const model = modelOf({
      inputs: [input("x", [1, 2])],
      nodes: [nodeOf("Relu", ["x"], ["y"])],
      outputs: [declared("y", [1, 3])],
    });
    const shapes = await inferShapes(model);
    expect(shapes.of(model.graph, "y")?.dims).toEqual([1, 2]);
    expect(shapes.warnings).toEqual([
      { node: "y", detail: "y is declared as [1, 3] but is [1, 2]", multipleOf: undefined },
    ]);
  });

  test("does not hold when the caller replaces a fixed size", async () => {
    const model = modelOf({
      inputs: [input("x", [1, 2])],
      nodes: [nodeOf("Relu", ["x"], ["y"]), { ...nodeOf("Mystery", ["y"], ["m"]), domain: "com.example" }],
      outputs: [declared("y", [1, 2]), declared("m", [1, 5])],
    });
    const shapes = await inferShapes(model, { inputShapes: { x: [4, 2] } });
    expect(shapes.of(model.graph, "y")?.dims).toEqual([4, 2]);
    expect(shapes.of(model.graph, "m")?.dims).toEqual([null, null]);
    expect(shapes.warnings).toEqual([]);
  });
});

test("a model-local function is followed, with the call's attributes", async () => {
  const model: Model = {
    ...modelOf({
      inputs: [input("x", [2, 3, 4])],
      nodes: [{ ...nodeOf("Turn", ["x"], ["y"], { order: ints(2, 0, 1) }), domain: "mine" }],
    }),
    functions: [
      {
        name: "Turn",
        domain: "mine",
        inputs: ["a"],
        outputs: ["b"],
        nodes: [
          {
            ...nodeOf("Transpose", ["a"], ["b"]),
            attributes: [{ name: "perm", refAttrName: "order", value: { type: "opaque", code: 7 } }],
          },
        ],
      },
    ],
  };
  expect(await shapeText(model, "y")).toBe("[4, 2, 3]");
});

describe("hostile models cost nothing", () => {
  test("a shape of 2^50 elements is told and never made", async () => {
    const model = modelOf({
      initializers: [int64s("s", [2 ** 30, 2 ** 20])],
      nodes: [nodeOf("ConstantOfShape", ["s"], ["big"]), nodeOf("NonZero", ["big"], ["y"])],
    });
    expect(await shapeText(model, "big")).toBe(`[${2 ** 30}, ${2 ** 20}]`);
    expect(await shapeText(model, "y")).toBe("[2, ?]");
  });

  test("Tile, Range and Expand to huge sizes", async () => {
    const model = modelOf({
      initializers: [
        int64s("one", [1]),
        int64s("huge", [2 ** 50]),
        int64s("h", [2 ** 50], []),
        int64s("z", [0, 1]),
      ],
      nodes: [
        nodeOf("Tile", ["one", "huge"], ["a"]),
        nodeOf("Expand", ["one", "huge"], ["b"]),
        nodeOf("Squeeze", ["one"], ["o"]),
        nodeOf("Range", ["o", "h", "o"], ["c"]),
        nodeOf("ConstantOfShape", ["a"], ["ya"]),
        nodeOf("ConstantOfShape", ["b"], ["yb"]),
        nodeOf("ConstantOfShape", ["c"], ["yc"]),
      ],
    });
    expect(await shapeText(model, "a")).toBe(`[${2 ** 50}]`);
    expect(await shapeText(model, "b")).toBe(`[${2 ** 50}]`);
    expect(await shapeText(model, "c")).toBe(`[${2 ** 50 - 1}]`);
    expect(await shapeText(model, "yc")).toBe("?");
  });

  test("sizes that overflow, are negative or fractional are unknown", async () => {
    const model = modelOf({
      inputs: [input("x", [2 ** 40, 2 ** 40]), input("i", [1, 3, 4, 4])],
      nodes: [
        nodeOf("Flatten", ["x"], ["f"], { axis: int(0) }),
        nodeOf("DepthToSpace", ["i"], ["d"], { blocksize: int(2) }),
        nodeOf("AveragePool", ["i"], ["p"], { kernel_shape: ints(9, 1) }),
      ],
    });
    expect(await shapeText(model, "f")).toBe("[1, ?]");
    expect(await shapeText(model, "d")).toBe("[1, ?, 8, 8]");
    expect(await shapeText(model, "p")).toBe("[1, 3, ?, 4]");
  });

  test("a thousand nodes that each add 4096 dimensions, or compute 4096 elements", async () => {
    const axes = int64s(
      "axes",
      Array.from({ length: 4096 }, (_, i) => i),
    );
    const steps = Array.from({ length: 1000 }, (_, i) => i);
    const model = modelOf({
      inputs: [input("x0", [2])],
      initializers: [axes],
      nodes: [
        ...steps.map((i) => nodeOf("Unsqueeze", [`x${i}`, "axes"], [`x${i + 1}`])),
        ...steps.map((i) => nodeOf("Add", [i ? `v${i}` : "axes", "axes"], [`v${i + 1}`])),
        nodeOf("Reshape", ["x0", "v1000"], ["y"]),
      ],
    });
    const shapes = await inferShapes(model);
    expect(shapes.of(model.graph, "x1")).toBeUndefined();
    expect(shapes.elementsOf(model.graph, "v1")?.length).toBe(4096);
    expect(shapes.elementsOf(model.graph, "v1000")).toBeUndefined();
  });

  test("Loops nested twelve deep end within the budget", async () => {
    let body = graphOf({ nodes: [nodeOf("Identity", ["c"], ["k"])], outputs: [output("k")] });
    for (let depth = 0; depth < 12; depth++) {
      const grown = nodeOf("Concat", ["s", "s"], ["t"], { axis: int(0) });
      const loop = nodeOf("Loop", ["", "c", "t"], ["u"], { body: { type: "graph", value: body } });
      body = graphOf({
        inputs: [{ name: "i" }, { name: "c" }, { name: "s" }],
        nodes: [grown, loop, nodeOf("Identity", ["c"], ["k"])],
        outputs: [output("k"), output("u")],
      });
    }
    const model = modelOf({
      inputs: [input("x", [1]), input("c", [], DataType.BOOL)],
      nodes: [nodeOf("Loop", ["", "c", "x"], ["y"], { body: { type: "graph", value: body } })],
    });
    expect(await shapeText(model, "y")).toMatch(/^\?$|^\[\?\]$/);
  });
});

test("only the tensors that decide shapes are read", async () => {
  const read: string[] = [];
  const behind = (name: string, bytes: Uint8Array) => ({
    size: bytes.length,
    read: async (offset: number, length: number) => {
      read.push(name);
      return bytes.subarray(offset, offset + length);
    },
  });
  const lazy = (tensor: ReturnType<typeof floats>) => {
    const bytes =
      tensor.data.kind === "raw" && tensor.data.bytes instanceof Uint8Array ? tensor.data.bytes : null;
    const source = behind(tensor.name, bytes ?? new Uint8Array());
    return { ...tensor, data: { kind: "raw", bytes: { source, offset: 0, length: source.size } } } as const;
  };
  const model = modelOf({
    inputs: [input("x", ["N", 4])],
    initializers: [lazy(floats("w", [4, 6])), lazy(floats("b", [6])), lazy(int64s("target", [0, 2, 3]))],
    nodes: [nodeOf("Gemm", ["x", "w", "b"], ["h"]), nodeOf("Reshape", ["h", "target"], ["y"])],
  });
  expect(await shapeText(model, "y")).toBe("[N, 2, 3]");
  expect(read).toEqual(["target"]);
});
