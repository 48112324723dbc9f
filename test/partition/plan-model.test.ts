import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { LayerGeometry } from "../../src/onnx/layer-geometry.ts";
import type { Graph, Model, Tensor } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { networkForModel } from "../../src/partition/network.ts";
import { planModel } from "../../src/partition/plan-model.ts";
import { isSemiStructured } from "../../src/partition/semi-structured.ts";
import { floats, floatTensor, graphOf, int, modelOf, node, value } from "../compress/tiny.ts";
import { compressed } from "../jobs/compressed.ts";
import { realModel } from "../models/registry.ts";

/** Bound by compute, whatever runs on it. */
function device(flops: object, sparse_2_4 = true) {
  const accelerator = { name: "sparse", flops, memory_bytes: 1e12, memory_bandwidth: 1e18, sparse_2_4 };
  return [{ accelerator, count: 1 }];
}

/** Every second entry along an axis is zero. */
function halved(dims: readonly number[], axis: number): Float32Array {
  const stride = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  return floats(dims).map((entry, i) => (Math.floor(i / stride) % 2 === 0 ? 0 : entry || 1));
}

function product(weight: Tensor, width: number, opset = 17): Model {
  return modelOf(
    graphOf({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [{ ...weight, name: "w" }],
      inputs: [value("x", ["N", width])],
      outputs: [value("y", ["N", null])],
    }),
    opset,
  );
}

const along = floatTensor("w", [64, 32], halved([64, 32], 0));
const across = floatTensor("w", [64, 32], halved([64, 32], 1));
const step = async (model: Model, mix: ReturnType<typeof device>, mode: "inference" | "training") =>
  (await planModel(model, mix, { batch: 512, mode })).step_time_s;
const FLOPS = 512 * 32 * (2 * 64 - 1);

test("a 2:4 weight takes half the time on accelerators that exploit it, and only there", async () => {
  const tf32 = { tf32: 1e12 };
  expect(await step(product(along, 64), device(tf32), "inference")).toBe(FLOPS / 2e12);
  expect(await step(product(along, 64), device(tf32, false), "inference")).toBe(FLOPS / 1e12);
  expect(await step(product(along, 64), device({ fp32: 1e12 }), "inference")).toBe(FLOPS / 1e12);
});

test("half of the weights zero in another pattern, or while training fills the zeros, count dense", async () => {
  const tf32 = { tf32: 1e12 };
  expect(await step(product(across, 64), device(tf32), "inference")).toBe(FLOPS / 1e12);
  expect(await step(product(along, 64), device(tf32), "training")).toBe(
    await step(product(across, 64), device(tf32), "training"),
  );
});

test("a note names the layers and the accelerators with the doubled rate", async () => {
  const note = /2:4 sparse weights of y at twice its dense rate/;
  const plan = await planModel(product(along, 64), [{ accelerator: "h100", count: 2 }], { batch: 512 });
  expect(plan.notes.filter((text) => note.test(text))).toEqual([
    "h100 multiplies the 2:4 sparse weights of y at twice its dense rate.",
  ]);
  const older = await planModel(product(along, 64), [{ accelerator: "v100", count: 2 }], { batch: 512 });
  expect(older.notes.filter((text) => note.test(text))).toEqual([]);
});

test("a weight whose file did not come with the model, or of 10¹² elements, counts dense", async () => {
  const absent = (dims: number[]): Tensor => ({
    name: "w",
    dataType: DataType.FLOAT,
    dims,
    data: { kind: "external", location: "w", span: null },
  });
  expect(await step(product(absent([64, 32]), 64), device({ tf32: 1e12 }), "inference")).toBe(FLOPS / 1e12);
  const huge = await planModel(product(absent([1e6, 1e6]), 1e6), device({ tf32: 1e12 }));
  expect(huge.notes.join()).not.toContain("2:4");
});

test("a note counts the weights that are too large to be searched for zeros", async () => {
  const large = floatTensor("w", [2100, 2100], new Float32Array(2100 * 2100));
  const plan = await planModel(product(large, 2100), device({ tf32: 1e12 }));
  expect(plan.notes).toContain(
    "1 layer counts as dense: its weight is too large to be searched for 2:4 zeros.",
  );
});

test("a weight whose numbers make no sense counts dense, wherever it is stored", async () => {
  const short: Tensor = { ...along, data: { kind: "raw", bytes: new Uint8Array(12) } };
  expect(await step(product(short, 64), device({ tf32: 1e12 }), "inference")).toBe(FLOPS / 1e12);
  const constant = modelOf(
    graphOf({
      nodes: [
        node("Constant", [], ["c"], { value: { type: "tensor", value: short } }),
        node("Identity", ["c"], ["w"]),
        node("MatMul", ["x", "w"], ["y"]),
      ],
      inputs: [value("x", ["N", 64])],
      outputs: [value("y", ["N", 32])],
    }),
  );
  expect(await step(constant, device({ tf32: 1e12 }), "inference")).toBe(FLOPS / 1e12);
});

/** The four neighbours of every group looked at one by one. */
function slowly(dims: readonly number[], data: Float32Array, axis: number): boolean {
  const stride = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis] as number;
  return data.every((_, i) => {
    const at = Math.floor(i / stride) % size;
    const group = [0, 1, 2, 3]
      .map((k) => at - (at % 4) + k)
      .filter((other) => other < size)
      .map((other) => data[i + (other - at) * stride]);
    return group.filter((entry) => entry !== 0).length <= 2;
  });
}

test("a matrix is 2:4 exactly where each four neighbours along its inputs have two zeros", () => {
  const matrix = fc
    .record({ rows: fc.integer({ min: 4, max: 13 }), columns: fc.integer({ min: 4, max: 13 }) })
    .chain(({ rows, columns }) =>
      fc.record({
        dims: fc.constant([rows, columns]),
        kept: fc.array(fc.integer({ min: 0, max: 40 }), {
          minLength: rows * columns,
          maxLength: rows * columns,
        }),
        axis: fc.constantFrom(0, 1),
      }),
    );
  const seen = new Set<boolean>();
  fc.assert(
    fc.property(matrix, fc.boolean(), ({ dims, kept, axis }, pruned) => {
      const stride = axis === 0 ? (dims[1] as number) : 1;
      const odd = (i: number) => (Math.floor(i / stride) % (dims[axis] as number)) % 2 === 1;
      const data = Float32Array.from(kept, (entry, i) => (pruned && odd(i) ? 0 : entry));
      const geometry = { kind: "matrix", inputAxis: axis, outputAxis: 1 - axis } as LayerGeometry;
      const expected = slowly(dims, data, axis);
      seen.add(expected);
      expect(isSemiStructured({ dataType: DataType.FLOAT, dims, data }, geometry)).toBe(expected);
    }),
  );
  expect(seen.size).toBe(2);
});

test("convolutions are 2:4 as matrices or by channels at each place of the kernel; grouped ones are not", () => {
  const dims = [5, 8, 3, 3];
  const of = (data: Float32Array, more: object = {}) =>
    isSemiStructured({ dataType: DataType.FLOAT, dims, data }, {
      kind: "convolution",
      groups: 1,
      transposed: false,
      ...more,
    } as LayerGeometry);
  const byChannel = halved(dims, 1);
  const asMatrix = floats(dims).map((entry, i) => ((i % 72) % 4 < 2 ? 0 : entry || 1));
  expect([of(byChannel), of(asMatrix), of(floats(dims))]).toEqual([true, true, false]);
  expect(of(byChannel, { groups: 2 })).toBe(false);
  expect(of(halved(dims, 0), { transposed: true })).toBe(true);
  expect(of(byChannel, { transposed: true })).toBe(false);
});

const lenet = realModel("lenet-300-100");
const reason = lenet.missing ? ` (skipped: ${lenet.missing})` : "";

describe.skipIf(lenet.missing !== null)(`artifacts${reason}`, () => {
  const mix = device({ tf32: 1e12 });
  const planned = async (recipe: Recipe) => {
    const { artifact } = await compressed((await lenet.bytes()).slice(), recipe);
    const model = await readModel(bytesSource(artifact));
    return { model, plan: await planModel(model, mix, { batch: 512 }) };
  };

  test("2:4 sparse layers are found behind the nodes that unpack them", async () => {
    const { model, plan } = await planned({
      methods: ["sparsity"],
      sparsity: { pattern: "2:4" },
      target: { min_fidelity: 0 },
    });
    expect(model.graph.nodes.length).toBeGreaterThan(5);
    expect(plan.notes.join("\n")).toMatch(/2:4 sparse weights of .* at twice its dense rate/);
    const dense = await planModel(await readModel(bytesSource(await lenet.bytes())), mix, { batch: 512 });
    expect(plan.layers.map(({ flops }) => flops)).toEqual(dense.layers.map(({ flops }) => flops));
    expect(plan.step_time_s).toBeLessThan(0.6 * dense.step_time_s);
  });

  test("int8 layers behind DequantizeLinear are as large as stored and compute in float", async () => {
    const { model, plan } = await planned({
      methods: ["quantization"],
      quantization: { weights: "int8", storage: "dequantize_linear" },
    });
    expect(model.graph.nodes.some(({ opType }) => opType === "DequantizeLinear")).toBe(true);
    const network = await networkForModel(model, 1);
    for (const { op, precision, weights, weightBytes } of network.nodes.filter(
      ({ weights }) => weights > 0,
    )) {
      expect([op, precision]).toEqual(["Gemm", "fp32"]);
      expect(weightBytes / weights).toBeGreaterThanOrEqual(1);
      expect(weightBytes / weights).toBeLessThan(1.5);
    }
    expect(plan.fits).toBe(true);
  });
});

const ints = (name: string, dims: readonly number[], data: Int8Array | Uint8Array): Tensor =>
  tensorOf(name, { dataType: data instanceof Int8Array ? DataType.INT8 : DataType.UINT8, dims, data });

const network = (graph: Graph) => networkForModel(modelOf(graph), 10);

test("a palette is folded into floats when the model is loaded: its layer reads and holds four bytes a weight", async () => {
  const { nodes } = await network(
    graphOf({
      nodes: [node("Gather", ["palette", "codes"], ["w"]), node("MatMul", ["x", "w"], ["y"])],
      initializers: [
        floatTensor("palette", [16], floats([16])),
        tensorOf("codes", { dataType: DataType.INT32, dims: [16, 8], data: new Int32Array(128) }),
      ],
      inputs: [value("x", ["N", 16])],
      outputs: [value("y", ["N", 8])],
    }),
  );
  expect(nodes.map(({ name, weights, weightBytes }) => [name, weights, weightBytes])).toEqual([
    ["y", 128, 512],
  ]);
});

test("integers behind DequantizeLinear count as stored, with a scale and a zero point a column", async () => {
  const { nodes } = await network(
    graphOf({
      nodes: [
        node("DequantizeLinear", ["q", "scale", "zero"], ["d"], { axis: int(1) }),
        node("Transpose", ["d"], ["w"]),
        node("Gemm", ["x", "w"], ["y"], { transB: int(1) }),
      ],
      initializers: [
        ints("q", [16, 8], new Int8Array(128)),
        floatTensor("scale", [8], floats([8])),
        ints("zero", [8], new Int8Array(8)),
      ],
      inputs: [value("x", ["N", 16])],
      outputs: [value("y", ["N", 8])],
    }),
  );
  expect(nodes).toMatchObject([
    { op: "Gemm", weights: 128, weightBytes: 128 + 4 * 8 + 8, precision: "fp32" },
  ]);
});

test("integer products are computed and read as int8", async () => {
  const { nodes } = await network(
    graphOf({
      nodes: [node("MatMulInteger", ["x", "w"], ["y"])],
      initializers: [ints("w", [16, 8], new Int8Array(128))],
      inputs: [value("x", ["N", 16], DataType.UINT8)],
      outputs: [value("y", ["N", 8], DataType.INT32)],
    }),
  );
  expect(nodes).toMatchObject([{ weights: 128, weightBytes: 128, precision: "int8", elementBytes: 1 }]);
});

test("products of weights in blocks of four bits have the weights that they stand for and the bytes that are stored", async () => {
  const blocks = { K: int(64), N: int(8), bits: int(4), block_size: int(32) };
  const { nodes } = await network(
    graphOf({
      nodes: [{ ...node("MatMulNBits", ["x", "q", "scales"], ["y"], blocks), domain: "com.microsoft" }],
      initializers: [ints("q", [8, 2, 16], new Uint8Array(256)), floatTensor("scales", [16], floats([16]))],
      inputs: [value("x", ["N", 64])],
      outputs: [value("y", ["N", 8])],
    }),
  );
  expect(nodes).toMatchObject([
    { weights: 512, weightBytes: 256 + 4 * 16, units: [10, 64, 8], flops: { forward: 10 * 8 * 127 } },
  ]);
});

test("nodes that make a weight of constants are no layers", async () => {
  const { nodes, edges } = await network(
    graphOf({
      nodes: [
        node("MatMul", ["a", "b"], ["ab"]),
        node("Add", ["ab", "c"], ["w"]),
        node("MatMul", ["x", "w"], ["y"]),
        node("Relu", ["y"], ["r"]),
        node("MatMul", ["r", "v"], ["z"]),
      ],
      initializers: [
        floatTensor("a", [16, 2], floats([16, 2])),
        floatTensor("b", [2, 8], floats([2, 8])),
        floatTensor("c", [16, 8], floats([16, 8])),
        floatTensor("v", [8, 4], floats([8, 4])),
      ],
      inputs: [value("x", ["N", 16])],
      outputs: [value("z", ["N", 4])],
    }),
  );
  expect(nodes.map(({ name }) => name)).toEqual(["y", "z"]);
  expect(edges).toHaveLength(1);
});
