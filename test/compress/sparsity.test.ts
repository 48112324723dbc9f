import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assemble, type LayerSite } from "../../src/compress/assemble.ts";
import { compressLayer } from "../../src/compress/compress-layer.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import { globalZeros } from "../../src/compress/sparsity/global.ts";
import { N_OF_M, pruneNOfM, pruneSmallest } from "../../src/compress/sparsity/prune.ts";
import { expectedSparseBytes, sparseBytes } from "../../src/compress/sparsity/storage.ts";
import { countNonzero, storedAs, weightOf } from "../../src/compress/weight.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import {
  type Feed,
  floatFeed,
  floats,
  graphOf,
  int,
  largestDifference,
  modelOf,
  node,
  runBoth,
  value,
} from "./tiny.ts";

describe("pruning", () => {
  const weights = fc
    .array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 300 })
    .map((list) => Float32Array.from(list));

  test("as many weights as asked are zero, the others are untouched", () => {
    fc.assert(
      fc.property(weights, fc.nat(300), (values, n) => {
        const zeros = n % (values.length + 1);
        const pruned = pruneSmallest(values, zeros);
        expect(values.length - countNonzero(pruned)).toBeGreaterThanOrEqual(zeros);
        const changed = [...pruned].filter((w, i) => w !== values[i]);
        expect(changed.every((w) => w === 0)).toBe(true);
        expect(changed.length).toBeLessThanOrEqual(zeros);
      }),
    );
  });

  test("no group of M along the axis has more than N weights, and the largest N are those", () => {
    const shape = fc.tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 18 }),
      fc.integer({ min: 1, max: 3 }),
    );
    fc.assert(
      fc.property(
        shape,
        fc.constantFrom("2:4" as const, "4:8" as const),
        fc.nat(2),
        (dims, pattern, axis) => {
          const values = floats(dims, dims[1]);
          const pruned = pruneNOfM(values, dims, axis, pattern);
          const { keep, of } = N_OF_M[pattern];
          const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
          const groups = new Map<string, number[]>();
          values.forEach((_, i) => {
            const along = Math.floor(i / inner) % dims[axis]!;
            const outer = Math.floor(i / (inner * dims[axis]!));
            const key = `${outer}/${i % inner}/${Math.floor(along / of)}`;
            groups.set(key, [...(groups.get(key) ?? []), i]);
          });
          for (const group of groups.values()) {
            const kept = group.filter((i) => pruned[i] !== 0);
            const gone = group.filter((i) => pruned[i] === 0);
            expect(kept.length).toBe(Math.min(keep, group.length));
            const least = Math.min(...kept.map((i) => Math.abs(values[i]!)));
            expect(Math.max(0, ...gone.map((i) => Math.abs(values[i]!)))).toBeLessThanOrEqual(least);
          }
        },
      ),
    );
  });

  test("a global ratio takes exactly its share of all weights, by one threshold", async () => {
    const layers = [floats([100], 1), floats([60], 2).map((w) => w / 10), floats([40], 3)];
    const zeros = await globalZeros(
      layers.map((values, i) => ({ layer: `l${i}`, count: values.length, load: async () => values })),
      0.35,
    );
    expect([...zeros.values()].reduce((sum, n) => sum + n, 0)).toBe(70);
    const whole = Float32Array.from(layers.flatMap((values) => [...values]));
    const expected = pruneSmallest(whole, 70);
    const pruned = layers.flatMap((values, i) => [...pruneSmallest(values, zeros.get(`l${i}`)!)]);
    expect(pruned).toEqual([...expected]);
    expect(zeros.get("l1")).toBeGreaterThan(50);
  });
});

describe("sparse storage", () => {
  test("the counted bytes are those of the file to within 24, and the estimate is within 3% for even zeros", async () => {
    for (const [count, zeros] of [
      [500, 300],
      [20_000, 15_000],
      [300_000, 270_000],
    ] as const) {
      const values = pruneSmallest(floats([count]), zeros);
      const exact = sparseBytes(values, 4);
      const { model, site, facts } = consumer("MatMul", [1, count], floats([count]));
      const result = compressLayer(
        facts,
        { dataType: DataType.FLOAT, dims: facts.dims, values: floats([count]) },
        { layer: "w", treatment: { method: "sparsity", pattern: "unstructured", zeros }, reason: null },
      );
      const edited = assemble(model, [site], [result]).model;
      const empty = { ...edited, graph: { ...edited.graph, sparseInitializers: [] } };
      const grown = (await modelBytes(edited)).length - (await modelBytes(empty)).length;
      expect(Math.abs(grown - exact)).toBeLessThanOrEqual(SLACK);
      expect(Math.abs(expectedSparseBytes(count, count - zeros, 4) / exact - 1)).toBeLessThan(0.03);
    }
  });
});

/** The fixed overhead is rounded up; a small tensor needs less. */
const SLACK = 24;

interface Consumer {
  readonly model: Model;
  readonly site: LayerSite;
  readonly facts: LayerFacts;
}

/** `x · w` in the main graph. */
function consumer(op: string, dims: readonly number[], values: Float32Array): Consumer {
  const weight = tensorOf("w", { dataType: DataType.FLOAT, dims, data: values });
  const model = modelOf(
    graphOf({
      nodes: [node(op, ["x", "w"], ["y"])],
      initializers: [weight],
      inputs: [value("x", [2, dims[0]!])],
      outputs: [value("y", [2, dims[1]!])],
    }),
  );
  return { model, site: siteAt([]), facts: factsOf(op, dims, weight) };
}

function siteAt(graph: readonly string[]): LayerSite {
  return { layer: "w", node: { graph, output: "y" }, weight: { graph, name: "w" } };
}

function factsOf(op: string, dims: readonly number[], weight: Tensor): LayerFacts {
  return {
    name: "w",
    op,
    dims,
    dataType: weight.dataType,
    bytes: weight.data.kind === "raw" ? (weight.data.bytes as Uint8Array).length : 0,
    macs: null,
    inputAxis: 0,
    fixed: null,
    sharing: { reason: "no convolution" },
  };
}

interface ConsumerCase {
  readonly op: string;
  readonly dims: readonly number[];
  readonly nodes: readonly Node[];
  readonly inputs: readonly ValueInfo[];
  readonly output: ValueInfo;
  readonly feeds: Readonly<Record<string, Feed>>;
  readonly dataType?: number;
}

const consumers: ConsumerCase[] = [
  {
    op: "Conv",
    dims: [8, 6, 3, 3],
    nodes: [node("Conv", ["x", "w"], ["y"])],
    inputs: [value("x", [1, 6, 7, 7])],
    output: value("y", [1, 8, 5, 5]),
    feeds: { x: floatFeed([1, 6, 7, 7]) },
  },
  {
    op: "ConvTranspose",
    dims: [6, 8, 3, 3],
    nodes: [node("ConvTranspose", ["x", "w"], ["y"])],
    inputs: [value("x", [1, 6, 7, 7])],
    output: value("y", [1, 8, 9, 9]),
    feeds: { x: floatFeed([1, 6, 7, 7]) },
  },
  {
    op: "Gemm",
    dims: [30, 20],
    nodes: [node("Gemm", ["x", "w"], ["y"], { transB: int(1) })],
    inputs: [value("x", [2, 20])],
    output: value("y", [2, 30]),
    feeds: { x: floatFeed([2, 20]) },
  },
  {
    op: "MatMul",
    dims: [20, 30],
    nodes: [node("MatMul", ["x", "w"], ["y"])],
    inputs: [value("x", [2, 20])],
    output: value("y", [2, 30]),
    feeds: { x: floatFeed([2, 20]) },
  },
  {
    op: "MatMul through Identity and Transpose",
    dims: [30, 20],
    nodes: [
      node("Identity", ["w"], ["wi"]),
      node("Transpose", ["wi"], ["wt"]),
      node("MatMul", ["x", "wt"], ["y"]),
    ],
    inputs: [value("x", [2, 20])],
    output: value("y", [2, 30]),
    feeds: { x: floatFeed([2, 20]) },
  },
  {
    op: "MatMul in float16",
    dims: [20, 30],
    nodes: [node("Cast", ["w"], ["wf"], { to: int(1) }), node("MatMul", ["x", "wf"], ["y"])],
    inputs: [value("x", [2, 20])],
    output: value("y", [2, 30]),
    feeds: { x: floatFeed([2, 20]) },
    dataType: DataType.FLOAT16,
  },
  ...(["LSTM", "GRU"] as const).map((op) => {
    const gates = op === "LSTM" ? 4 : 3;
    return {
      op,
      dims: [1, gates * 8, 8],
      nodes: [node(op, ["x", "w", "w"], ["y"], { hidden_size: int(8) })],
      inputs: [value("x", [5, 1, 8])],
      output: value("y", [5, 1, 1, 8]),
      feeds: { x: floatFeed([5, 1, 8]) },
    };
  }),
  {
    op: "Gather",
    dims: [40, 16],
    nodes: [node("Gather", ["w", "x"], ["y"])],
    inputs: [value("x", [3], DataType.INT64)],
    output: value("y", [3, 16]),
    feeds: { x: { type: "int64", data: BigInt64Array.of(0n, 7n, 39n), dims: [3] } },
  },
];

/** The same nodes with the weight as an initializer or a Constant node, in the main graph or in both branches of an If. */
function placed(one: ConsumerCase, weight: Tensor, where: "initializer" | "constant", inIf: boolean): Model {
  const constant = node("Constant", [], ["w"], { value: { type: "tensor", value: weight } });
  const body: Graph = graphOf({
    nodes: where === "constant" ? [constant, ...one.nodes] : one.nodes,
    initializers: where === "initializer" ? [weight] : [],
    inputs: inIf ? [] : one.inputs,
    outputs: [one.output],
  });
  if (!inIf) return modelOf(body);
  const branch = { type: "graph", value: body } as const;
  const choose = node("If", ["c"], ["y"], { then_branch: branch, else_branch: branch });
  return modelOf(
    graphOf({
      nodes: [choose],
      inputs: [...one.inputs, value("c", [], DataType.BOOL)],
      outputs: [one.output],
    }),
  );
}

describe("a sparse weight computes what its dense zeros compute, in both runtimes, to 1e-6", () => {
  for (const one of consumers) {
    for (const where of ["initializer", "constant"] as const) {
      for (const inIf of [false, true]) {
        test(`${one.op}, ${where}${inIf ? " inside an If" : ""}`, async () => {
          const dataType = one.dataType ?? DataType.FLOAT;
          const numbers = floats(one.dims).map((w) => (Math.abs(w) < 0.05 ? 0.05 : w));
          const weight = { dataType, dims: one.dims, values: numbers };
          const zeros = Math.round(0.8 * numbers.length);
          const pruned = pruneSmallest(numbers, zeros);
          const tensor = (data: Float32Array) =>
            tensorOf("w", { dataType, dims: one.dims, data: storedAs(dataType, data) });
          const original = placed(one, tensor(numbers), where, inIf);
          const reference = placed(one, tensor(pruned as Float32Array), where, inIf);
          const facts = factsOf(one.op, one.dims, tensor(numbers));
          const path = inIf
            ? [
                ["y", "then_branch"],
                ["y", "else_branch"],
              ]
            : [[]];
          const results = path.map(() =>
            compressLayer(facts, weight, {
              layer: "w",
              treatment: { method: "sparsity", pattern: "unstructured", zeros },
              reason: null,
            }),
          );
          const named = results.map((result, i) => ({ ...result, layer: `w${i}` }));
          const sites = path.map((graph, i) => ({ ...siteAt(graph), layer: `w${i}` }));
          const edited = assemble(original, sites, named).model;
          const bytes = await modelBytes(edited);
          expect(bytes.length).toBeLessThan((await modelBytes(original)).length);
          expect(named[0]!.stats.nonzero.compressed).toBe(numbers.length - zeros);
          const feeds = inIf
            ? { ...one.feeds, c: { type: "bool", data: Uint8Array.of(1), dims: [] } as const }
            : one.feeds;
          const expected = await runBoth(reference, feeds);
          const found = await runBoth(await readModel(bytesSource(bytes)), feeds);
          expect(largestDifference(expected.node, found.node)).toBeLessThan(1e-6);
          expect(largestDifference(expected.web, found.web)).toBeLessThan(1e-6);
          expect(largestDifference(expected.node, (await runBoth(original, feeds)).node)).toBeGreaterThan(
            1e-3,
          );
        });
      }
    }
  }
});

describe("assembling", () => {
  const dims = [20, 30];
  const treatment = (zeros: number) => ({ method: "sparsity", pattern: "unstructured", zeros }) as const;

  test("zeros that do not pay are kept dense, in place, in as many bytes as before", async () => {
    const { model, site, facts } = consumer("MatMul", dims, floats(dims));
    const result = compressLayer(
      facts,
      { dataType: DataType.FLOAT, dims, values: floats(dims) },
      { layer: "w", treatment: treatment(60), reason: null },
    );
    expect(result.stats.nonzero.compressed).toBe(540);
    const edited = assemble(model, [site], [result]).model;
    expect(edited.graph.sparseInitializers).toEqual([]);
    expect((await modelBytes(edited)).length).toBe((await modelBytes(model)).length);
  });

  test("a result larger than its layer is left out and named", () => {
    const { model, site, facts } = consumer("MatMul", dims, floats(dims));
    const result = compressLayer(
      { ...facts, bytes: 10 },
      { dataType: DataType.FLOAT, dims, values: floats(dims) },
      { layer: "w", treatment: treatment(300), reason: null },
    );
    expect(assemble(model, [site], [result])).toEqual({ model, dropped: ["w"] });
  });

  test("a model of IR 3 gets the first IR with sparse initializers and loses its initializers' inputs", async () => {
    const { model, site, facts } = consumer("MatMul", dims, floats(dims));
    const old = {
      ...model,
      irVersion: 3,
      opsetImports: [{ domain: "", version: 8 }],
      graph: { ...model.graph, inputs: [...model.graph.inputs, value("w", dims)] },
    };
    const result = compressLayer(
      facts,
      { dataType: DataType.FLOAT, dims, values: floats(dims) },
      { layer: "w", treatment: treatment(500), reason: null },
    );
    const edited = assemble(old, [site], [result]).model;
    expect(edited.irVersion).toBe(6);
    expect(edited.graph.inputs.map((input) => input.name)).toEqual(["x"]);
    const feeds = { x: floatFeed([2, 20]) };
    const { node: after, web } = await runBoth(edited, feeds);
    expect(largestDifference(after, web)).toBeLessThan(1e-5);
  });
});

test("float16 numbers come back as they went in; integers and bfloat16 are no weights", () => {
  const data = Uint16Array.of(0x3c00, 0x0001, 0x8000, 0x7bff, 0x1234);
  const weight = weightOf({ dataType: DataType.FLOAT16, dims: [5], data })!;
  expect(storedAs(DataType.FLOAT16, weight.values)).toEqual(data);
  expect(weightOf({ dataType: DataType.BFLOAT16, dims: [5], data })).toBeUndefined();
  expect(weightOf({ dataType: DataType.INT8, dims: [1], data: Int8Array.of(1) })).toBeUndefined();
});
