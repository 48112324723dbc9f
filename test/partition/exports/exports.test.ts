import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import type { Mix } from "../../../schemas/mix.ts";
import type { PartitionType, Plan } from "../../../schemas/plan.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import type { AttributeValue, Dim, Model, Node } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { annotated, METADATA_KEY } from "../../../src/partition/exports/annotations.ts";
import { dtensorModule } from "../../../src/partition/exports/dtensor.ts";
import { exportPlan } from "../../../src/partition/exports/export-plan.ts";
import { jaxModule } from "../../../src/partition/exports/jax.ts";
import { shardingOf } from "../../../src/partition/exports/sharding.ts";
import { networkForModel } from "../../../src/partition/network.ts";
import { planNetwork } from "../../../src/partition/plan.ts";
import { zooModel } from "../../../src/partition/zoo.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { realModels } from "../../models/registry.ts";
import { annotationsOf } from "./read-annotations.ts";

const device = {
  name: "d",
  flops: { fp32: 1e9 },
  memory_bytes: 1e12,
  memory_bandwidth: 1e12,
  link: { bandwidth: 1e12, latency: 0 },
};
const pair = (count: number): Mix => [{ accelerator: device, count }];

function weight(name: string, dims: readonly number[]) {
  const count = dims.reduce((product, size) => product * size, 1);
  return tensorOf(name, { dataType: 1, dims, data: new Float32Array(count).fill(0.01) });
}

/** A model of one layer, its input `x` and its output `y`. */
function modelOf(node: Node, input: readonly Dim[], weights: Record<string, readonly number[]>): Model {
  return {
    irVersion: 9,
    opsetImports: [{ domain: "", version: 20 }],
    graph: {
      name: "one layer",
      nodes: [node],
      initializers: Object.entries(weights).map(([name, dims]) => weight(name, dims)),
      sparseInitializers: [],
      inputs: [{ name: "x", type: { kind: "tensor", dataType: 1, shape: input } }],
      outputs: [{ name: "y", type: { kind: "tensor", dataType: 1 } }],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
}

/** A plan that gives the only layer these types, equal shares. */
async function planOf(model: Model, types: readonly PartitionType[]): Promise<Plan> {
  const count = 2 ** types.length;
  const plan = planNetwork(await networkForModel(model, 8), pair(count));
  const devices = Array.from({ length: count }, (_, i) => `d/${i}`);
  return {
    ...plan,
    layers: plan.layers.map((layer) => ({
      ...layer,
      type: [...types],
      shares: devices.map((name) => ({ device: name, share: 1 / count })),
    })),
  };
}

const flag = (value: number): AttributeValue => ({ type: "int", value });
const LAYERS: Readonly<Record<string, Model>> = {
  Conv: modelOf(nodeOf("Conv", ["x", "w", "b"], ["y"]), ["n", 4, 8, 8], { w: [6, 4, 3, 3], b: [6] }),
  ConvTranspose: modelOf(nodeOf("ConvTranspose", ["x", "w", "b"], ["y"]), ["n", 4, 8, 8], {
    w: [4, 6, 3, 3],
    b: [6],
  }),
  Gemm: modelOf(nodeOf("Gemm", ["x", "w", "b"], ["y"]), ["n", 4], { w: [4, 6], b: [6] }),
  "Gemm, transposed": modelOf(
    nodeOf("Gemm", ["x", "w", "b"], ["y"], { transB: flag(1) as never }),
    ["n", 4],
    { w: [6, 4], b: [6] },
  ),
  MatMul: modelOf(nodeOf("MatMul", ["x", "w"], ["y"]), ["n", 5, 4], { w: [4, 6] }),
};

/** Axes of x, w, b, y that each type cuts; null for whole. */
const CUT: Readonly<Record<string, Readonly<Record<PartitionType, readonly (number | null)[]>>>> = {
  Conv: { I: [0, null, null, 0], II: [1, 1, null, null], III: [null, 0, 0, 1] },
  ConvTranspose: { I: [0, null, null, 0], II: [1, 0, null, null], III: [null, 1, 0, 1] },
  Gemm: { I: [0, null, null, 0], II: [1, 0, null, null], III: [null, 1, 0, 1] },
  "Gemm, transposed": { I: [0, null, null, 0], II: [1, 1, null, null], III: [null, 0, 0, 1] },
  MatMul: { I: [0, null, 0], II: [2, 0, null], III: [null, 1, 2] },
};

const cases = Object.entries(CUT).flatMap(([layer, types]) =>
  Object.entries(types).map(([type, axes]) => [layer, type as PartitionType, axes] as const),
);

test.each(cases)("%s by type %s is cut along the axes of AccPar's table", async (layer, type, axes) => {
  const model = LAYERS[layer] as Model;
  const sharding = await shardingOf(await planOf(model, [type]), model);
  const names = layer === "MatMul" ? ["x", "w", "y"] : ["x", "w", "b", "y"];
  const placed = dtensorModule(sharding);
  const specs = jaxModule(sharding);
  for (const [i, name] of names.entries()) {
    const axis = axes[i] ?? null;
    const partial = type === "II" && name === "y";
    const placement = axis === null ? (partial ? "Partial()" : "Replicate()") : `Shard(${axis})`;
    expect(placed).toContain(`"${name}": (${placement},),`);
    const spec = axis === null ? "" : [...new Array<string>(axis).fill("None"), '"level0"'].join(", ");
    expect(specs).toContain(`"${name}": P(${spec}),`);
  }
});

test("types of several levels cut several axes, and one axis more than once", async () => {
  const model = LAYERS.Gemm as Model;
  const both = jaxModule(await shardingOf(await planOf(model, ["II", "III"]), model));
  expect(both).toContain('"w": P("level0", "level1"),');
  expect(both).toContain("MESH_SHAPE = (2, 2)");
  const twice = jaxModule(await shardingOf(await planOf(model, ["I", "I"]), model));
  expect(twice).toContain('"x": P(("level0", "level1")),');
});

test("annotations name the shards of every tensor, and the devices that hold them", async () => {
  const model = LAYERS.Gemm as Model;
  const plan = await planOf(model, ["II", "III"]);
  const bytes = await modelBytes(annotated(model, await shardingOf(plan, model)));
  const found = annotationsOf(bytes);
  expect(found.irVersion).toBe(11);
  expect(found.configurations).toEqual([{ name: "hone", devices: 4, names: ["d/0", "d/1", "d/2", "d/3"] }]);
  const [node] = found.nodes;
  expect(node?.configuration).toBe("hone");
  const spec = Object.fromEntries(node!.specs.map((own) => [own.tensor, own]));
  // Level 0 halves the input channels (devices 0, 1 | 2, 3), level 1 the output channels (0, 2 | 1, 3).
  expect(spec.x).toEqual({
    tensor: "x",
    devices: [-1, -2],
    groups: { "-1": [0, 1], "-2": [2, 3] },
    axes: [{ axis: 1, shards: 2 }],
  });
  expect(spec.w).toEqual({
    tensor: "w",
    devices: [0, 1, 2, 3],
    groups: {},
    axes: [
      { axis: 0, shards: 2 },
      { axis: 1, shards: 2 },
    ],
  });
  expect(spec.y).toEqual({
    tensor: "y",
    devices: [-1, -2],
    groups: { "-1": [0, 2], "-2": [1, 3] },
    axes: [{ axis: 1, shards: 2 }],
  });
});

test("an annotated copy loads in onnxruntime, answers as before, and is read and written as it is", async () => {
  const model = LAYERS.Conv as Model;
  const plan = await planOf(model, ["III"]);
  const copy = await modelBytes(annotated(model, await shardingOf(plan, model)));
  const runtime = await nodeRuntime();
  const x = {
    dataType: 1,
    dims: [2, 4, 8, 8],
    data: Float32Array.from({ length: 512 }, (_, i) => Math.sin(i)),
  };
  const answers = [];
  for (const bytes of [await modelBytes(model), copy]) {
    const session = await runtime.load(bytes);
    answers.push((await session.run({ x }))?.y?.data);
    await session.release();
  }
  expect(answers[1]).toEqual(answers[0]);
  const read = await readModel(bytesSource(copy));
  const edited = await modelBytes({ ...read, producerName: "somebody" });
  expect(annotationsOf(edited)).toEqual(annotationsOf(copy));
  expect(JSON.parse(read.metadata.find(({ key }) => key === METADATA_KEY)!.value)).toMatchObject({
    batch: plan.batch,
    layers: [{ types: "III" }],
  });
  const again = annotated(read, await shardingOf(plan, read));
  expect(annotationsOf(await modelBytes(again))).toEqual(annotationsOf(copy));
});

const EVEN: Mix = [{ accelerator: "h100", count: 4 }];
const ODD: Mix = [
  { accelerator: "h100", count: 2 },
  { accelerator: "a100", count: 1 },
];

const real = realModels.filter(({ name, missing }) => !missing && name !== "classifier");

test.each(real.map((model) => [model.name, model] as const))(
  "%s is exported in every format",
  async (_, m) => {
    const model = await readModel(bytesSource(await m.bytes()));
    for (const mix of [EVEN, ODD]) {
      const plan = planNetwork(await networkForModel(model, 64), mix, { mode: "training" });
      const open = async () => model;
      for (const format of ["jax", "dtensor"] as const) {
        const { content } = await exportPlan(format, plan, open);
        expectPython(content as string);
      }
      const { content } = await exportPlan("onnx", plan, open);
      let size = 0;
      for await (const chunk of content as AsyncIterable<Uint8Array>) size += chunk.length;
      expect(size).toBeGreaterThan(0);
    }
  },
);

test("a shape-only model has its sharding too", async () => {
  const model = zooModel("bert-large");
  const plan = planNetwork(await networkForModel(model, 32), EVEN, { mode: "training" });
  const { content } = await exportPlan("jax", plan, async () => model);
  expectPython(content as string);
  expect(content).toContain('"layer23.down.weight": P(');
});

test("names from a model cannot break out of the Python", async () => {
  const named = 'w"]\n}\nimport os  # \\';
  const model = modelOf(nodeOf("Gemm", ["x", named], ["y"]), ["n", 4], { [named]: [4, 6] });
  const sharding = await shardingOf(await planOf(model, ["I"]), model);
  for (const text of [jaxModule(sharding), dtensorModule(sharding)]) {
    expect(text.split("\n").filter((line) => line.startsWith("import os"))).toEqual([]);
    expectPython(text);
  }
});

test("a plan of another model is refused", async () => {
  const plan = await planOf(LAYERS.Gemm as Model, ["I"]);
  await expect(shardingOf(plan, zooModel("lenet"))).rejects.toThrow(/plan this model again/);
});

/** Python's own parser, where there is a Python. */
function expectPython(text: string): void {
  try {
    execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], { input: text });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
