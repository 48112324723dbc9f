import { describe, expect, test } from "vitest";
import { layerError } from "../../src/compress/input-moments.ts";
import { fromMatrices, layoutOf, toMatrices } from "../../src/compress/layer-matrix.ts";
import { readWeight } from "../../src/compress/layer-of-model.ts";
import { objectiveOf } from "../../src/compress/quantization/objective.ts";
import type { QuantizeRequest } from "../../src/compress/quantization/quantize-matrix.ts";
import { quantizeWeight } from "../../src/compress/quantization/quantize-weight.ts";
import { codedValues } from "../../src/compress/storage/coded.ts";
import { decodeNodes } from "../../src/compress/storage/decode-nodes.ts";
import { storeCoded } from "../../src/compress/storage/store.ts";
import { storeDequantized } from "../../src/compress/storage/store-dequantized.ts";
import type { StoredWeight } from "../../src/compress/storage/stored-weight.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { freshNames } from "../../src/onnx/edit.ts";
import { type Layer, listLayers } from "../../src/onnx/layers.ts";
import type { Model, Node } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { momentsOf, REQUEST } from "./quantization-moments.ts";
import {
  type Feed,
  floatFeed,
  floats,
  floatTensor,
  graphOf,
  int,
  ints,
  largestDifference,
  modelOf,
  node,
  runBoth,
  value,
} from "./tiny.ts";

/** A tiny model around one layer, and its input. */
const layers: Record<string, { nodes: Node[]; dims: Record<string, number[]>; feed: Feed; out: number[] }> = {
  Conv: {
    nodes: [node("Conv", ["x", "w"], ["y"], { pads: ints(1, 1, 1, 1) })],
    dims: { w: [6, 4, 3, 3] },
    feed: floatFeed([1, 4, 5, 5]),
    out: [1, 6, 5, 5],
  },
  "grouped Conv": {
    nodes: [node("Conv", ["x", "w"], ["y"], { group: int(2) })],
    dims: { w: [6, 2, 3, 3] },
    feed: floatFeed([1, 4, 5, 5]),
    out: [1, 6, 3, 3],
  },
  "grouped ConvTranspose": {
    nodes: [node("ConvTranspose", ["x", "w"], ["y"], { group: int(2) })],
    dims: { w: [4, 3, 2, 2] },
    feed: floatFeed([1, 4, 5, 5]),
    out: [1, 6, 6, 6],
  },
  MatMul: {
    nodes: [node("MatMul", ["x", "w"], ["y"])],
    dims: { w: [12, 7] },
    feed: floatFeed([3, 12]),
    out: [3, 7],
  },
  "MatMul of several": {
    nodes: [node("MatMul", ["x", "w"], ["y"])],
    dims: { w: [2, 12, 7] },
    feed: floatFeed([2, 3, 12]),
    out: [2, 3, 7],
  },
  Gemm: {
    nodes: [node("Gemm", ["x", "w"], ["y"], { transB: int(1) })],
    dims: { w: [7, 12] },
    feed: floatFeed([3, 12]),
    out: [3, 7],
  },
  LSTM: {
    nodes: [
      node("LSTM", ["x", "w", "r"], ["y"], {
        hidden_size: int(5),
        direction: { type: "string", value: "bidirectional" },
      }),
    ],
    dims: { w: [2, 20, 4], r: [2, 20, 5] },
    feed: floatFeed([3, 1, 4]),
    out: [3, 2, 1, 5],
  },
};

describe("quantised layers load and compute in onnxruntime-web and onnxruntime-node to 1e-5 of their dense form", () => {
  for (const [name, { nodes, dims, feed, out }] of Object.entries(layers)) {
    test(name, async () => {
      const dense = denseModel(nodes, dims, feed, out);
      for (const request of [
        { ...REQUEST, levels: 255 },
        { ...REQUEST, levels: 7, group: 2, halfScales: true },
        { ...REQUEST, levels: 11, spacing: "palette" },
      ] as const) {
        const { list, model: expectedModel } = await quantised(dense, request);
        const expected = await runBoth(expectedModel, { x: feed });
        for (const opset of [13, 21]) {
          const model = withParts(dense, list, opset);
          const actual = await runBoth(model, { x: feed });
          expect(largestDifference(actual.web, expected.web)).toBeLessThan(1e-5);
          expect(largestDifference(actual.node, expected.node)).toBeLessThan(1e-5);
        }
      }
    });
  }

  test("a Gemm with DequantizeLinear, int8 by row and int4 by block", async () => {
    const { nodes, dims, feed, out } = layers.Gemm!;
    const dense = denseModel(nodes, dims, feed, out);
    for (const request of [
      { ...REQUEST, levels: 255 },
      { ...REQUEST, levels: 15, group: 4 },
    ]) {
      const { list, model, coded } = await quantised(dense, request);
      const stored = list.map((one, i) => ({ ...one, stored: storeDequantized(coded[i]!, 21)! }));
      const expected = await runBoth(model, { x: feed });
      const actual = await runBoth(withParts(dense, stored, 21), { x: feed });
      expect(largestDifference(actual.web, expected.web)).toBeLessThan(2e-2);
    }
  });
});

function denseModel(nodes: Node[], dims: Record<string, number[]>, feed: Feed, out: number[]): Model {
  const initializers = Object.entries(dims).map(([one, shape], i) =>
    floatTensor(one, shape, floats(shape, i + 5)),
  );
  return modelOf(
    graphOf({ nodes, initializers, inputs: [value("x", feed.dims)], outputs: [value("y", out)] }),
    13,
  );
}

interface Quantised {
  readonly layer: Layer;
  readonly stored: StoredWeight;
}

/** Each layer quantised without samples, and the model with the dense weights that the codes stand for. */
async function quantised(model: Model, request: QuantizeRequest) {
  const list: Quantised[] = [];
  const coded = [];
  let initializers = model.graph.initializers;
  for (const layer of listLayers(model, await inferShapes(model))) {
    const weight = (await readWeight(layer))!;
    const layout = layoutOf(layer.uses[0]!.geometry, layer.dims)!;
    const divisible = layout.columns % (request.group ?? 1) === 0;
    const objective = objectiveOf(layout.columns, momentsOf(layout.columns, 9), kernels);
    const asked = divisible ? request : { ...request, group: null };
    const matrices = toMatrices(layout, weight.values);
    const objectives = Array(layout.count).fill(objective);
    const found = quantizeWeight({ ...weight, layout, matrices }, objectives, asked, kernels);
    const one = found.coded;
    const values = codedValues(one);
    expect(found.values).toEqual(toMatrices(layout, values));
    const error = layerError(
      matrices,
      toMatrices(layout, values),
      layout.count * layout.rows,
      layout.columns,
      null,
    );
    expect(error).toBeLessThan(0.3);
    expect(fromMatrices(layout, toMatrices(layout, values))).toEqual(values);
    const name = layer.weight.name;
    initializers = initializers.map((tensor) =>
      tensor.name === name ? floatTensor(name, layer.dims, values) : tensor,
    );
    coded.push(one);
    list.push({ layer, stored: storeCoded(one, 13, ({ placement }) => placement.kind === "dense") });
  }
  return { list, coded, model: { ...model, graph: { ...model.graph, initializers } } };
}

function withParts(model: Model, list: readonly Quantised[], opset: number): Model {
  const fresh = freshNames(model);
  const names = new Set(list.map(({ layer }) => layer.weight.name));
  const parts = list.map(({ layer, stored }) =>
    decodeNodes(
      stored,
      layer.weight.name,
      stored.parts.map(({ role }) => fresh(role)),
      fresh,
      opset,
    ),
  );
  return {
    ...model,
    irVersion: 10,
    opsetImports: [{ domain: "", version: opset }],
    graph: {
      ...model.graph,
      nodes: [...parts.flatMap(({ nodes }) => nodes), ...model.graph.nodes],
      initializers: [
        ...model.graph.initializers.filter(({ name }) => !names.has(name)),
        ...parts.flatMap(({ initializers }) => initializers),
      ],
    },
  };
}
