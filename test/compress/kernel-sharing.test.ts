import { describe, expect, test } from "vitest";
import { assemble } from "../../src/compress/assemble.ts";
import { compressLayer } from "../../src/compress/compress-layer.ts";
import { convolutionTime, formWork } from "../../src/compress/kernel-sharing/cost.ts";
import { sharedKernels } from "../../src/compress/kernel-sharing/decompose.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import type { SharingForm } from "../../src/compress/treatment.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import {
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

interface Case {
  readonly name: string;
  readonly weight: readonly number[];
  readonly input: readonly number[];
  readonly attributes: Readonly<Record<string, NewAttribute>>;
  readonly bias: boolean;
  readonly forms?: readonly SharingForm[];
}

const cases: Case[] = [
  { name: "3×3", weight: [8, 6, 3, 3], input: [1, 6, 9, 9], attributes: {}, bias: true },
  {
    name: "3×3 with pads, dilations and no bias",
    weight: [4, 8, 3, 3],
    input: [2, 8, 11, 9],
    attributes: { pads: ints(2, 1, 2, 3), dilations: ints(2, 1), kernel_shape: ints(3, 3) },
    bias: false,
  },
  {
    name: "5×5 with strides and SAME_UPPER",
    weight: [4, 3, 5, 5],
    input: [1, 3, 12, 12],
    attributes: {
      strides: ints(2, 2),
      auto_pad: { type: "string", value: "SAME_UPPER" },
      group: int(1),
    },
    bias: true,
    forms: ["basis_first"],
  },
  {
    name: "1×7",
    weight: [6, 4, 1, 7],
    input: [1, 4, 5, 15],
    attributes: { pads: ints(0, 3, 0, 3) },
    bias: true,
  },
  {
    name: "1-D",
    weight: [6, 4, 5],
    input: [1, 4, 30],
    attributes: { pads: ints(2, 2) },
    bias: true,
  },
  { name: "3-D", weight: [3, 4, 2, 3, 3], input: [1, 4, 5, 6, 7], attributes: {}, bias: true },
];

function convolution(one: Case): { model: Model; facts: LayerFacts; weight: Float32Array } {
  const [outputs = 0, inputs = 0, ...kernel] = one.weight;
  const weight = floats(one.weight);
  const model = modelOf(
    graphOf({
      nodes: [node("Conv", one.bias ? ["x", "w", "b"] : ["x", "w"], ["y"], one.attributes)],
      initializers: [
        floatTensor("w", one.weight, weight),
        ...(one.bias ? [floatTensor("b", [outputs], floats([outputs], 3))] : []),
      ],
      inputs: [value("x", one.input)],
      outputs: [
        value(
          "y",
          one.input.map(() => null),
        ),
      ],
    }),
  );
  const size = kernel.reduce((product, dim) => product * dim, 1);
  const facts: LayerFacts = {
    name: "y",
    op: "Conv",
    dims: one.weight,
    dataType: DataType.FLOAT,
    bytes: weight.byteLength * 100,
    macs: 1000 * weight.length,
    inputAxis: 1,
    fixed: null,
    sharing: {
      reason: null,
      work: { inputs, outputs, groups: 1, kernel: size, positions: 1000 },
      known: true,
      unitStrides: !("strides" in one.attributes),
    },
  };
  return { model, facts, weight };
}

const site = {
  layer: "y",
  node: { graph: [], output: "y" },
  weight: { graph: [], name: "w" },
};

function shared(one: Case, bases: number, form: SharingForm) {
  const { model, facts, weight } = convolution(one);
  const result = compressLayer(
    facts,
    { dataType: DataType.FLOAT, dims: one.weight, values: weight },
    {
      layer: "y",
      treatment: { method: "kernel_sharing", bases, form, sparsity: null },
      reason: null,
    },
  );
  return { model, facts, weight, result, edited: assemble(model, [site], [result]).model };
}

for (const one of cases) {
  for (const form of one.forms ?? (["basis_first", "coefficients_first"] as const)) {
    describe(`${one.name}, ${form}`, () => {
      const size = one.weight.slice(2).reduce((product, dim) => product * dim, 1);

      test("all k² basis kernels reproduce the convolution to 1e-5, in both runtimes", async () => {
        const { model, edited, result } = shared(one, size, form);
        expect(edited.graph.nodes.map((n) => n.opType)).toEqual(["Conv", "Conv"]);
        expect(edited.graph.initializers.some((tensor) => tensor.name === "w")).toBe(false);
        expect(result.stats.weightError).toBeLessThan(1e-12);
        const feeds = { x: floatFeed(one.input) };
        const before = await runBoth(model, feeds);
        const after = await runBoth(edited, feeds);
        expect(largestDifference(before.node, after.node)).toBeLessThan(1e-5);
        expect(largestDifference(before.web, after.web)).toBeLessThan(1e-5);
      });

      test("fewer basis kernels lose exactly the tail of the SVD, to 1e-6, and the weight really shrinks", () => {
        for (const bases of [1, 2]) {
          const { weight, result } = shared(one, bases, form);
          const { tail } = sharedKernels(weight, size);
          expect(Math.abs(result.stats.weightError - tail[bases]!)).toBeLessThan(1e-6);
          expect(result.stats.weightError).toBeGreaterThan(0.01);
          expect(result.stats.parameters.compressed).toBeLessThan(result.stats.parameters.original);
        }
      });
    });
  }
}

test("a kernel of rank two needs two basis kernels to be exact to 1e-5", async () => {
  const one: Case = { ...cases[0]!, weight: [8, 6, 3, 3] };
  const { model, facts } = convolution(one);
  const mix = floats([48, 2], 5);
  const kernels = floats([2, 9], 6);
  const values = Float32Array.from({ length: 432 }, (_, i) => {
    const [row, at] = [Math.floor(i / 9), i % 9];
    return mix[row * 2]! * kernels[at]! + mix[row * 2 + 1]! * kernels[9 + at]!;
  });
  const original = {
    ...model,
    graph: {
      ...model.graph,
      initializers: [floatTensor("w", one.weight, values), ...model.graph.initializers.slice(1)],
    },
  };
  const result = compressLayer(
    facts,
    { dataType: DataType.FLOAT, dims: one.weight, values },
    {
      layer: "y",
      treatment: { method: "kernel_sharing", bases: 2, form: "basis_first", sparsity: null },
      reason: null,
    },
  );
  const edited = assemble(original, [site], [result]).model;
  const feeds = { x: floatFeed(one.input) };
  const before = await runBoth(original, feeds);
  const after = await runBoth(edited, feeds);
  expect(largestDifference(before.web, after.web)).toBeLessThan(1e-5);
  expect((await modelBytes(edited)).length).toBeLessThan((await modelBytes(original)).length);
});

test("the result is the same bytes every time", async () => {
  const first = await modelBytes(shared(cases[0]!, 3, "basis_first").edited);
  const second = await modelBytes(shared(cases[0]!, 3, "basis_first").edited);
  expect(first).toEqual(second);
});

describe("predicted time", () => {
  const work = { inputs: 64, outputs: 64, groups: 1, kernel: 9, positions: 56 * 56 };
  const ratio = (inputs: number, outputs: number, positions: number, bases: number) => {
    const dense = { ...work, inputs, outputs, positions };
    const parts = formWork(dense, bases, "basis_first");
    return convolutionTime(dense) / parts.reduce((sum, part) => sum + convolutionTime(part), 0);
  };

  test("agrees with ALGORITHMS §3's measured speed-ups to within a fifth", () => {
    expect(ratio(64, 64, 56 * 56, 5)).toBeGreaterThan(1.44 * 0.8);
    expect(ratio(256, 256, 14 * 14, 5)).toBeLessThan(1.59 * 1.2);
    expect(ratio(64, 64, 56 * 56, 3)).toBeGreaterThan(2.3 * 0.8);
    expect(ratio(256, 256, 14 * 14, 3)).toBeLessThan(2.5 * 1.2);
    expect(ratio(16, 16, 80 * 80, 5)).toBeGreaterThan(1.11 * 0.8);
    expect(ratio(16, 16, 80 * 80, 5)).toBeLessThan(1.11 * 1.2);
    expect(ratio(16, 16, 80 * 80, 3)).toBeLessThan(1.54 * 1.2);
  });

  test("nine basis kernels of a 3×3 convolution are never faster than the convolution", () => {
    for (const channels of [16, 64, 256]) expect(ratio(channels, channels, 784, 9)).toBeLessThan(1);
  });
});
