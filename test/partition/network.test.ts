import { expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import type { AttributeValue, Graph, Model, Node, Tensor } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import type { Network } from "../../src/partition/graph.ts";
import { networkForModel, networkOf } from "../../src/partition/network.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { realModels } from "../models/registry.ts";

function weight(name: string, ...dims: number[]): Tensor {
  return { name, dataType: DataType.FLOAT, dims, data: { kind: "external", location: "w", span: null } };
}

function node(
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Record<string, AttributeValue> = {},
): Node {
  const named = Object.entries(attributes).map(([name, value]) => ({ name, value }));
  return { name: outputs[0] as string, opType, domain: "", inputs, outputs, attributes: named };
}

function graph(
  nodes: Node[],
  initializers: Tensor[],
  inputs: Record<string, (number | string)[]>,
  outputs: string[],
): Graph {
  return {
    name: "g",
    nodes,
    initializers,
    sparseInitializers: [],
    inputs: Object.entries(inputs).map(([name, shape]) => ({
      name,
      type: { kind: "tensor", dataType: DataType.FLOAT, shape },
    })),
    outputs: outputs.map((name) => ({ name })),
    valueInfo: [],
  };
}

function model(own: Graph): Model {
  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 17 }],
    graph: own,
    metadata: [],
    functions: [],
  };
}

/** `producer>consumer elements` for each edge. */
function wires({ nodes, edges }: Network): string[] {
  return edges.map(({ from, to, elements }) => `${nodes[from]?.name}>${nodes[to]?.name} ${elements}`);
}

const convolution = (x: string, y: string) =>
  node("Conv", [x, `w_${y}`], [y], { pads: { type: "ints", value: [1, 1, 1, 1] } });

test("operators without weights follow their producer, and outputs count after pooling", async () => {
  const network = await networkForModel(
    model(
      graph(
        [
          convolution("x", "a"),
          node("Relu", ["a"], ["r"]),
          node("MaxPool", ["r"], ["p"], {
            kernel_shape: { type: "ints", value: [2, 2] },
            strides: { type: "ints", value: [2, 2] },
          }),
          convolution("p", "b"),
          node("GlobalAveragePool", ["b"], ["y"]),
        ],
        [weight("w_a", 8, 3, 3, 3), weight("w_b", 16, 8, 3, 3)],
        { x: ["N", 3, 16, 16] },
        ["y"],
      ),
    ),
    10,
  );
  expect(wires(network)).toEqual([`a>b ${10 * 8 * 64}`]);
  expect(network.nodes[0]).toMatchObject({
    op: "Conv",
    kind: "convolution",
    units: [10, 3, 8],
    input: 10 * 3 * 256,
    output: 10 * 8 * 64,
    weights: 8 * 27,
    flops: {
      forward: 10 * 8 * 256 * (2 * 27 - 1),
      backward: 2 * 10 * 8 * 256 * 27 - 10 * 3 * 256,
      gradient: 8 * 27 * (2 * 10 * 256 - 1),
    },
    passesError: false,
  });
  expect(network.nodes[1]).toMatchObject({ output: 10 * 16, passesError: true });
  expect(network.notes).toEqual([]);
});

test("branches meet in joins, and a tensor used twice has two edges", async () => {
  const network = await networkForModel(
    model(
      graph(
        [
          convolution("x", "a"),
          node("Relu", ["a"], ["r"]),
          convolution("r", "b"),
          node("Add", ["b", "r"], ["sum"]),
          convolution("sum", "c"),
        ],
        ["a", "b", "c"].map((name) => weight(`w_${name}`, 4, 4, 3, 3)),
        { x: ["N", 4, 8, 8] },
        ["c"],
      ),
    ),
    2,
  );
  expect(wires(network)).toEqual(["a>b 512", "b>sum 512", "a>sum 512", "sum>c 512"]);
  expect(network.nodes.map(({ kind }) => kind)).toEqual([
    "convolution",
    "convolution",
    "join",
    "convolution",
  ]);
});

test("a product of two activations is a join with its work, sizes of shapes are no activations", async () => {
  const network = await networkForModel(
    model(
      graph(
        [
          node("MatMul", ["x", "wq"], ["q"]),
          node("MatMul", ["x", "wk"], ["k"]),
          node("Transpose", ["k"], ["kt"], { perm: { type: "ints", value: [0, 2, 1] } }),
          node("MatMul", ["q", "kt"], ["scores"]),
          node("Shape", ["scores"], ["size"]),
          node("Reshape", ["q", "size"], ["never"]),
        ],
        [weight("wq", 16, 32), weight("wk", 16, 32)],
        { x: ["N", 5, 16] },
        ["scores"],
      ),
    ),
    3,
  );
  expect(wires(network)).toEqual(["q>scores 480", "k>scores 480"]);
  expect(network.nodes[2]).toMatchObject({
    kind: "join",
    weights: 0,
    flops: { forward: 3 * 25 * (2 * 32 - 1), gradient: 0 },
  });
});

test("depthwise convolutions move whole groups, recurrent layers join W and R, tables have no error", async () => {
  const network = await networkForModel(
    model(
      graph(
        [
          node("Conv", ["x", "depthwise"], ["d"], { group: { type: "int", value: 6 } }),
          node("Squeeze", ["d", "axes"], ["s"]),
          node("GRU", ["s", "w", "r"], ["h"], { hidden_size: { type: "int", value: 7 } }),
        ],
        [
          weight("depthwise", 6, 1, 1, 1),
          {
            name: "axes",
            dataType: DataType.INT64,
            dims: [1],
            data: { kind: "raw", bytes: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0) },
          },
          weight("w", 1, 21, 9),
          weight("r", 1, 21, 7),
        ],
        { x: ["N", 6, 9, 1] },
        ["h"],
      ),
    ),
    4,
  );
  const [depthwise, gru] = network.nodes;
  expect(depthwise?.ways[1]).toBeNull();
  expect(depthwise).toMatchObject({ units: [4, 6, 6] });
  expect(gru).toMatchObject({ op: "GRU", weights: 21 * 9 + 21 * 7, units: [4, 9, 7] });
  expect(network.nodes).toHaveLength(2);
});

test.each(["fed", "constant"])(
  "of an If the costlier branch counts, with the weights inside it: %s condition",
  async (flag) => {
    const branch = (name: string, width: number) =>
      graph([node("MatMul", ["x", `${name}_w`], [`${name}_y`])], [weight(`${name}_w`, 8, width)], {}, [
        `${name}_y`,
      ]);
    const network = await networkForModel(
      model(
        graph(
          [
            node("If", ["flag"], ["y"], {
              then_branch: { type: "graph", value: branch("small", 4) },
              else_branch: { type: "graph", value: branch("large", 400) },
            }),
            node("MatMul", ["y", "after"], ["z"]),
          ],
          [weight("after", 400, 3), ...(flag === "constant" ? [weight("flag")] : [])],
          { x: ["N", 8], ...(flag === "fed" && { flag: [] }) },
          ["z"],
        ),
      ),
      2,
    );
    expect(network.nodes.map(({ name, weights }) => [name, weights])).toEqual([
      ["large_y", 3200],
      ["z", 1200],
    ]);
    expect(network.edges).toMatchObject([{ from: 0, to: 1 }]);
  },
);

test("a weight that is a product of constants is one layer's, and its making no layer", async () => {
  const network = await networkForModel(
    model(
      graph(
        [node("MatMul", ["basis", "mixture"], ["w"]), node("MatMul", ["x", "w"], ["y"])],
        [weight("basis", 8, 2), weight("mixture", 2, 6)],
        { x: [1, 8] },
        ["y"],
      ),
    ),
  );
  expect(network.nodes.map(({ name, units, weights }) => ({ name, units, weights }))).toEqual([
    { name: "y", units: [1, 8, 6], weights: 48 },
  ]);
});

test("other batches than a fixed one are multiplied", async () => {
  const fixed = model(graph([node("MatMul", ["x", "w"], ["y"])], [weight("w", 8, 4)], { x: [2, 8] }, ["y"]));
  const shapes = await inferShapes(fixed);
  expect(networkOf(fixed, shapes)).toMatchObject({ batch: 2, nodes: [{ input: 16, units: [2, 8, 4] }] });
  expect(networkOf(fixed, shapes, 64)).toMatchObject({
    batch: 64,
    nodes: [{ input: 512, output: 256, flops: { forward: 256 * 15 }, units: [64, 8, 4] }],
  });
});

test("unknown operators and sizes leave a note, not an error", async () => {
  const network = await networkForModel(
    model(
      graph(
        [
          node("MatMul", ["x", "w"], ["y"]),
          { ...node("Mystery", ["y"], ["m"]), domain: "example" },
          node("MatMul", ["m", "v"], ["z"]),
        ],
        [weight("w", 8, 4), weight("v", 4, 4)],
        { x: ["N", 8] },
        ["z"],
      ),
    ),
    16,
  );
  expect(wires(network)).toEqual(["y>z 16"]);
  expect(network.notes.join()).toMatch(/not known before the model runs/);
});

for (const real of realModels) {
  test.skipIf(real.missing !== null)(
    `${real.name} gets a plan for training and inference${real.missing ? ` (skipped: ${real.missing})` : ""}`,
    async () => {
      const read = await readModel(bytesSource(await real.bytes()));
      for (const batch of [1, 32]) {
        const network = await networkForModel(read, batch);
        expect(network.batch).toBe(batch);
        expect(network.nodes.length).toBeGreaterThan(0);
        for (const mode of ["training", "inference"] as const) {
          const mix = [
            { accelerator: "tpu-v3", count: 2 },
            { accelerator: "tpu-v2", count: 2 },
          ];
          const plan = planNetwork(network, mix, { mode });
          expect(plan.fits).toBe(true);
          expect(plan.step_time_s).toBeGreaterThan(0);
          for (const { step_time_s } of Object.values(plan.baselines)) {
            expect(plan.step_time_s).toBeLessThanOrEqual(step_time_s);
          }
        }
      }
    },
  );
}
