import { describe, expect, test } from "vitest";
import { convolutionTime, formWork } from "../../src/compress/kernel-sharing/cost.ts";
import type { SharingForm, Treatment } from "../../src/compress/treatment.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { assembled, feedsOf, type Kind, kindOf, layersOf, modelWith, treaterOf } from "./one-layer.ts";
import { penni } from "./penni.ts";
import { floats, int, ints, largestDifference, runBoth } from "./tiny.ts";

const cases: readonly (Kind & { readonly forms?: readonly SharingForm[] })[] = [
  kindOf("3×3", "Conv", { weight: [8, 6, 3, 3], input: [1, 6, 9, 9], bias: 8 }),
  kindOf("3×3 with pads, dilations and no bias", "Conv", {
    weight: [4, 8, 3, 3],
    input: [2, 8, 11, 9],
    attributes: { pads: ints(2, 1, 2, 3), dilations: ints(2, 1), kernel_shape: ints(3, 3) },
  }),
  {
    ...kindOf("5×5 with strides and SAME_UPPER", "Conv", {
      weight: [4, 3, 5, 5],
      input: [1, 3, 12, 12],
      attributes: {
        strides: ints(2, 2),
        auto_pad: { type: "string", value: "SAME_UPPER" },
        group: int(1),
      },
      bias: 4,
    }),
    forms: ["basis_first"],
  },
  kindOf("1×7", "Conv", {
    weight: [6, 4, 1, 7],
    input: [1, 4, 5, 15],
    attributes: { pads: ints(0, 3, 0, 3) },
    bias: 6,
  }),
  kindOf("1-D", "Conv", {
    weight: [6, 4, 5],
    input: [1, 4, 30],
    attributes: { pads: ints(2, 2) },
    bias: 6,
  }),
  kindOf("3-D", "Conv", { weight: [3, 4, 2, 3, 3], input: [1, 4, 5, 6, 7], bias: 3 }),
];

/** Without samples, as PENNI has it. */
async function shared(kind: Kind, bases: number, order: SharingForm, values = floats(kind.weight)) {
  const model = await modelWith(kind, { values });
  const [layer] = await layersOf(model);
  const treater = await treaterOf(layer!, kernels, null);
  const treatment: Treatment = {
    form: { kind: "kernel_sharing", bases, order },
    sparsity: null,
    storage: null,
  };
  const treated = treater.treat(treatment);
  return { model, values, stats: treated.result.stats, edited: assembled(model, layer!, treated) };
}

for (const one of cases) {
  for (const order of one.forms ?? (["basis_first", "coefficients_first"] as const)) {
    describe(`${one.name}, ${order}`, () => {
      const size = one.weight.slice(2).reduce((product, dim) => product * dim, 1);

      test("all k² basis kernels reproduce the convolution to 2e-5, in both runtimes", async () => {
        const { model, edited, stats } = await shared(one, size, order);
        const convolutions = edited.graph.nodes.filter(({ opType }) => opType === "Conv");
        expect(convolutions.length).toBe(2);
        expect(edited.graph.initializers.some((tensor) => tensor.name === "w")).toBe(false);
        expect(stats.weightError).toBeLessThan(1e-11);
        const before = await runBoth(model, feedsOf(one));
        const after = await runBoth(edited, feedsOf(one));
        expect(largestDifference(before.node, after.node)).toBeLessThan(2e-5);
        expect(largestDifference(before.web, after.web)).toBeLessThan(2e-5);
      });

      test("fewer basis kernels lose exactly the tail of the SVD, to 1e-6, and the weight really shrinks", async () => {
        for (const bases of [1, 2]) {
          const { values, stats } = await shared(one, bases, order);
          const { lost } = penni(values, size, bases);
          expect(Math.abs(stats.weightError - lost)).toBeLessThan(1e-6);
          expect(stats.weightError).toBeGreaterThan(0.01);
          expect(stats.parameters.compressed).toBeLessThan(stats.parameters.original);
        }
      });
    });
  }
}

test("a kernel of rank two needs two basis kernels to be exact to 3e-5, in a smaller file", async () => {
  const one = kindOf("wide", "Conv", { weight: [24, 20, 3, 3], input: [1, 20, 9, 9], bias: 24 });
  const mix = floats([480, 2], 5);
  const basis = floats([2, 9], 6);
  const values = Float32Array.from({ length: 4320 }, (_, i) => {
    const [row, at] = [Math.floor(i / 9), i % 9];
    return mix[row * 2]! * basis[at]! + mix[row * 2 + 1]! * basis[9 + at]!;
  });
  const { model, edited } = await shared(one, 2, "basis_first", values);
  const before = await runBoth(model, feedsOf(one));
  const after = await runBoth(edited, feedsOf(one));
  expect(largestDifference(before.web, after.web)).toBeLessThan(3e-5);
  expect((await modelBytes(edited)).length).toBeLessThan((await modelBytes(model)).length);
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
