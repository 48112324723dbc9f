import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accelerate } from "../../../src/compress/fast/accelerate.ts";
import { addTiledConvolution, Parts } from "../../../src/compress/fast/tiled-convolution.ts";
import { freshNames } from "../../../src/onnx/edit.ts";
import type { Graph, Model } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { random, randomTensor } from "../lossless/check.ts";
import { relativeError } from "../lossless/native.ts";
import { graphOf, int, ints, modelOf, node, value } from "../tiny.ts";

/** Outputs of both files in onnxruntime-web, and that the second is sound. */
async function relativeErrorInWeb(before: Model, after: Model, feeds: Feeds): Promise<number> {
  const runtime = await nodeRuntime();
  const results: Feeds[] = [];
  for (const each of [before, after]) {
    const bytes = await modelBytes(each);
    validateModel(await readModel(bytesSource(bytes)));
    const session = await runtime.load(bytes);
    results.push(await session.run(feeds));
    await session.release();
  }
  return Math.max(
    ...Object.keys(results[0]!).map((name) => relativeError(results[0]![name]!, results[1]![name]!)),
  );
}

function operators({ nodes }: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { opType } of nodes) counts[opType] = (counts[opType] ?? 0) + 1;
  return counts;
}

/** A convolution whose size pays, between two pointwise nodes. */
function large(extra: Parameters<typeof node>[3], dims: (number | string)[] = [1, 128, 24, 24], opset = 14) {
  const graph = graphOf({
    inputs: [value("x", dims)],
    outputs: [value("y", [dims[0]!, 128, "h", "w"])],
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("Conv", ["r", "w", "b"], ["c"], extra),
      node("Relu", ["c"], ["y"]),
    ],
    initializers: [randomTensor("w", [128, 128, 3, 3]), randomTensor("b", [128], 8)],
  });
  return modelOf(graph, opset);
}

const margins = { pads: ints(1, 1, 1, 1) };

describe("one convolution by fewer products, ‖y − ŷ‖ ≤ 1e-5 ‖y‖ in onnxruntime-web", () => {
  test("random windows, margins, strides and tiles", async () => {
    const size = fc.integer({ min: 1, max: 6 });
    const axis = fc
      .record({
        kernel: fc.integer({ min: 1, max: 5 }),
        tile: fc.constantFrom(1, 2, 3, 4),
        stride: fc.constantFrom(1, 2, 3),
        before: fc.integer({ min: 0, max: 2 }),
        after: fc.integer({ min: 0, max: 2 }),
        size: fc.integer({ min: 5, max: 14 }),
      })
      .map((one) => (one.tile > 1 ? { ...one, stride: 1 } : one));
    const cases = fc.record({
      rows: axis,
      columns: axis,
      inputs: size,
      outputs: size,
      batch: fc.integer({ min: 1, max: 2 }),
      bias: fc.boolean(),
      opset: fc.constantFrom(7, 11, 14),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, columns, inputs, outputs, batch, bias, opset }) => {
        fc.pre(rows.tile > 1 || columns.tile > 1);
        const length = (one: typeof rows) =>
          Math.floor((one.size + one.before + one.after - one.kernel) / one.stride) + 1;
        const dims = [batch, inputs, rows.size, columns.size];
        const weightDims = [outputs, inputs, rows.kernel, columns.kernel];
        const pads = [rows.before, columns.before, rows.after, columns.after];
        const strides = [rows.stride, columns.stride] as const;
        const conv = node("Conv", bias ? ["x", "w", "b"] : ["x", "w"], ["y"], {
          pads: ints(...pads),
          strides: ints(...strides),
        });
        const graph = graphOf({
          inputs: [value("x", dims)],
          outputs: [value("y", [batch, outputs, length(rows), length(columns)])],
          nodes: [conv],
          initializers: [randomTensor("w", weightDims), randomTensor("b", [outputs], 8)],
        });
        const before = modelOf(graph, opset);
        const parts = new Parts(freshNames(before), new Map());
        const output = [length(rows), length(columns)] as const;
        addTiledConvolution(
          parts,
          { node: conv, weightDims, strides, pads, output },
          [rows.tile, columns.tile],
          opset,
        );
        const initializers = [...graph.initializers, ...parts.constants];
        const after = { ...before, graph: { ...graph, nodes: parts.nodes, initializers } };
        expect(await relativeErrorInWeb(before, after, { x: random(dims) })).toBeLessThanOrEqual(1e-5);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test("sizes that are known only at run time: sliced to the input's size", async () => {
    const before = large(margins, ["n", 128, "h", "w"]);
    const feeds = { x: random([2, 128, 37, 29]) };
    const { model, convolutions } = await accelerate(before, {
      inputShapes: { x: [1, 128, 32, 32] },
      growth: 4000,
    });
    expect(convolutions.map(({ output }) => output)).toEqual(["c"]);
    expect(operators(model.graph)).toMatchObject({ ConvTranspose: 1, Slice: 1 });
    expect(await relativeErrorInWeb(before, model, feeds)).toBeLessThanOrEqual(1e-5);
  });

  test("auto_pad and a weight that constant nodes make", async () => {
    for (const auto of ["SAME_UPPER", "SAME_LOWER", "VALID"]) {
      const plain = large({ auto_pad: { type: "string", value: auto } });
      const nodes = [node("Mul", ["w", "s"], ["w2"]), ...plain.graph.nodes].map((each) =>
        each.opType === "Conv" ? { ...each, inputs: ["r", "w2", "b"] } : each,
      );
      const initializers = [...plain.graph.initializers, randomTensor("s", [128, 1, 1, 1], 9)];
      const before = { ...plain, graph: { ...plain.graph, nodes, initializers } };
      const { model, convolutions } = await accelerate(before, { growth: 4000 });
      expect(convolutions.length).toBe(1);
      expect(await relativeErrorInWeb(before, model, { x: random([1, 128, 24, 24]) })).toBeLessThanOrEqual(
        1e-5,
      );
    }
  });
});

describe("accelerate", () => {
  test("the weight stays in the file as it is, and less than 1.5 KB is added", async () => {
    const before = large(margins);
    const { model } = await accelerate(before, { growth: 4000 });
    expect(model.graph.initializers).toEqual(expect.arrayContaining([...before.graph.initializers]));
    const [old, grown] = [await modelBytes(before), await modelBytes(model)];
    expect(grown.length - old.length).toBeLessThan(1536);
  });

  test("the file grows by no more than asked for", async () => {
    const before = large(margins);
    expect(await accelerate(before, { growth: 100 })).toEqual({ model: before, convolutions: [] });
    const { convolutions } = await accelerate(before);
    const grown = await modelBytes((await accelerate(before)).model);
    const old = await modelBytes(before);
    expect(convolutions.length).toBe(1);
    expect(grown.length).toBeLessThanOrEqual(1.01 * old.length);
  });

  test("what several convolutions use is there once", async () => {
    const one = large(margins);
    const nodes = [
      ...one.graph.nodes.slice(0, 2),
      node("Conv", ["c", "w2"], ["d"], margins),
      node("Relu", ["d"], ["y"]),
    ];
    const initializers = [...one.graph.initializers, randomTensor("w2", [128, 128, 3, 3], 9)];
    const before = { ...one, graph: { ...one.graph, nodes, initializers } };
    const { model, convolutions } = await accelerate(before, { growth: 8000 });
    expect(convolutions.length).toBe(2);
    expect(operators(model.graph)).toMatchObject({ Tile: 2, Range: 2, Conv: 4, ConvTranspose: 2 });
    expect(await relativeErrorInWeb(before, model, { x: random([1, 128, 24, 24]) })).toBeLessThanOrEqual(
      1e-5,
    );
  });

  test("nothing changes where it cannot or should not: groups, dilations, weights that are computed, small or unknown sizes", async () => {
    const grouped = large({ ...margins, group: int(2) });
    const weight = randomTensor("w", [128, 64, 3, 3]);
    const models: Model[] = [
      { ...grouped, graph: { ...grouped.graph, initializers: [weight, grouped.graph.initializers[1]!] } },
      large({ pads: ints(2, 2, 2, 2), dilations: ints(2, 2) }),
      large(margins, [1, 128, 4, 4]),
      large(margins, [1, 128, "h", "w"]),
    ];
    const open = large(margins);
    const inputs = [...open.graph.inputs, value("w", [128, 128, 3, 3])];
    models.push({ ...open, graph: { ...open.graph, inputs } });
    for (const model of models) {
      expect(await accelerate(model, { growth: 1e6 })).toEqual({ model, convolutions: [] });
    }
  });
});
