import { describe, expect, test } from "vitest";
import { assemble } from "../../src/compress/assemble.ts";
import { siteOf } from "../../src/compress/layer-of-model.ts";
import { storePlain } from "../../src/compress/storage/store.ts";
import type { TreatedLayer } from "../../src/compress/treated-layer.ts";
import { type SparsityTreatment, UNTOUCHED } from "../../src/compress/treatment.ts";
import { storedAs, weightOf } from "../../src/compress/weight.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model, Node } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import {
  assembled,
  feedsOf,
  integers,
  type Kind,
  kindOf,
  layersOf,
  modelWith,
  treaterOf,
  withEffective,
  zeros,
} from "./one-layer.ts";
import { floats, floatTensor, int, largestDifference, node, runBoth, value } from "./tiny.ts";

const matMul = kindOf("a MatMul", "MatMul", { weight: [20, 30], input: [2, 20] });

async function pruned(model: Model, sparsity: SparsityTreatment, opset: number) {
  const [layer] = await layersOf(model);
  const treater = await treaterOf(layer!, kernels, null, opset);
  return { layer: layer!, treated: treater.treat({ form: null, sparsity, storage: null }) };
}

/** With the bytes that the layer really has. */
function honest({ result }: TreatedLayer, original: number) {
  const { bytes } = result.stats;
  return { ...result, stats: { ...result.stats, bytes: { ...bytes, original } } };
}

describe("assembling", () => {
  test("zeros that do not pay are kept dense, in place, in as many bytes as before", async () => {
    const model = await modelWith(matMul, { opset: 9 });
    const { layer, treated } = await pruned(model, zeros("unstructured", 0.05), 9);
    expect(treated.result.stats.nonzero.compressed).toBe(570);
    const edited = assembled(model, layer, treated, 9);
    expect(edited.graph.sparseInitializers).toEqual([]);
    expect(edited.graph.nodes.length).toBe(1);
    expect((await modelBytes(edited)).length).toBe((await modelBytes(model)).length);
  });

  test("a result larger than its layer is left out and named", async () => {
    const model = await modelWith(matMul);
    const { layer, treated } = await pruned(model, zeros("unstructured", 0.5), 21);
    expect(assemble(model, [siteOf(layer)], [honest(treated, 10)], 21)).toEqual({ model, dropped: ["y"] });
  });

  test("a layer that is left as it is changes nothing", async () => {
    const model = await modelWith(matMul);
    const [layer] = await layersOf(model);
    const { result } = (await treaterOf(layer!, kernels)).treat(UNTOUCHED);
    expect(assemble(model, [siteOf(layer!)], [result], 21)).toEqual({ model, dropped: [] });
  });

  test("a result without a place is a mistake of the caller", async () => {
    const model = await modelWith(matMul);
    const { treated } = await pruned(model, zeros("unstructured", 0.5), 21);
    expect(() => assemble(model, [], [treated.result], 21)).toThrow(RangeError);
  });

  test("a model of IR 3 gets the first IR with sparse initializers and loses its initializers' inputs", async () => {
    const model = await modelWith(matMul, { opset: 8 });
    const graph = { ...model.graph, inputs: [...model.graph.inputs, value("w", matMul.weight)] };
    const old: Model = { ...model, irVersion: 3, graph };
    const { layer, treated } = await pruned(old, zeros("unstructured", 0.9), 8);
    const edited = assembled(old, layer, treated, 8);
    expect(edited.graph.sparseInitializers.length).toBe(1);
    expect(edited.irVersion).toBe(6);
    expect(edited.graph.inputs.map((input) => input.name)).toEqual(["x"]);
    const { node: after, web } = await runBoth(edited, feedsOf(matMul));
    expect(largestDifference(after, web)).toBeLessThan(1e-5);
  });

  test("a Gemm's chain leaves the bias to the last step, and other nodes alone", async () => {
    const kind = kindOf("a Gemm", "Gemm", { weight: [24, 20], input: [5, 24], bias: 20 });
    const base = await modelWith(kind);
    const model = {
      ...base,
      graph: {
        ...base.graph,
        nodes: [...base.graph.nodes, node("Relu", ["y"], ["z"])],
        outputs: [{ name: "z" }],
      },
    };
    const [layer] = await layersOf(model);
    const treated = (await treaterOf(layer!, kernels)).treat({
      form: { kind: "low_rank", rank: 4 },
      sparsity: null,
      storage: null,
    });
    const { nodes } = assembled(model, layer!, treated).graph;
    expect(nodes.map(({ opType }) => opType)).toEqual(["MatMul", "Gemm", "Relu"]);
    expect(nodes.map(({ inputs }) => inputs.includes("b"))).toEqual([false, true, false]);
    expect(new Set(nodes.map(({ name }) => name)).size).toBe(3);
  });
});

describe("what computes with the weight through other nodes agrees to 1e-5 in both runtimes", () => {
  const through: readonly (readonly [string, Kind, readonly Node[]])[] = [
    [
      "an Identity",
      kindOf("", "MatMul", { weight: [20, 30], input: [2, 20] }),
      [node("Identity", ["w"], ["wi"]), node("MatMul", ["x", "wi"], ["y"])],
    ],
    [
      "one GRU twice",
      kindOf("", "GRU", { weight: [1, 24, 8], input: [5, 1, 8] }),
      [node("GRU", ["x", "w", "w"], ["y"], { hidden_size: int(8) })],
    ],
  ];
  for (const [name, kind, nodes] of through) {
    test(name, async () => {
      const base = await modelWith(kind);
      const model = { ...base, graph: { ...base.graph, nodes } };
      const [layer] = await layersOf(model);
      const treater = await treaterOf(layer!, kernels);
      expect(treater.target).toBeNull();
      for (const [sparsity, storage] of [
        [zeros("unstructured", 0.8), null],
        [zeros("2:4", null), integers(15)],
        [null, integers(255)],
      ] as const) {
        const treated = treater.treat({ form: null, sparsity, storage });
        const edited = assembled(model, layer!, treated);
        const feeds = feedsOf(kind);
        const expected = await runBoth(withEffective(model, layer!, treated), feeds);
        const read = await readModel(bytesSource(await modelBytes(edited)));
        const found = await runBoth(read, feeds);
        expect(largestDifference(expected.node, found.node)).toBeLessThan(1e-5);
        expect(largestDifference(expected.web, found.web)).toBeLessThan(1e-5);
        expect(largestDifference(expected.web, (await runBoth(model, feeds)).web)).toBeGreaterThan(1e-3);
      }
    });
  }
});

test("a sparse initializer's counted bytes are those of the file to within 90", async () => {
  for (const [count, share] of [
    [500, 0.6],
    [20_000, 0.75],
    [300_000, 0.9],
  ] as const) {
    const values = floats([count]).map((w) => (Math.abs(w) < share ? 0 : w));
    const weight = { dataType: DataType.FLOAT, dims: [count], values };
    const stored = storePlain(weight, 9, ({ placement }) => placement.kind === "sparse");
    const base = await modelWith(kindOf("", "MatMul", { weight: [1, 1], input: [1, 1] }));
    const graph = { ...base.graph, initializers: [floatTensor("w", [1, 1], floats([1, 1]))] };
    const model = { ...base, graph };
    const sparse = stored.parts.map(({ tensor }) => {
      if (!("values" in tensor)) throw new Error("not sparse");
      return { ...tensor, values: { ...tensor.values, name: "s" } };
    });
    const edited = { ...model, graph: { ...graph, sparseInitializers: sparse } };
    const grown = (await modelBytes(edited)).length - (await modelBytes(model)).length;
    expect(stored.bytes).toBeGreaterThanOrEqual(grown);
    expect(stored.bytes - grown).toBeLessThanOrEqual(90);
  }
});

test("float16 numbers come back as they went in; integers and bfloat16 are no weights", () => {
  const data = Uint16Array.of(0x3c00, 0x0001, 0x8000, 0x7bff, 0x1234);
  const weight = weightOf({ dataType: DataType.FLOAT16, dims: [5], data })!;
  expect(storedAs(DataType.FLOAT16, weight.values)).toEqual(data);
  expect(weightOf({ dataType: DataType.BFLOAT16, dims: [5], data })).toBeUndefined();
  expect(weightOf({ dataType: DataType.INT8, dims: [1], data: Int8Array.of(1) })).toBeUndefined();
});
