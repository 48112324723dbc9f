import { describe, expect, test } from "vitest";
import { chainOf, storedDims } from "../../src/compress/forms/chain.ts";
import type { Form } from "../../src/compress/forms/form.ts";
import { formWork, workMacs, workTime } from "../../src/compress/forms/work.ts";
import { convolutionTime, formWork as sharingWork } from "../../src/compress/kernel-sharing/cost.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import type { Dim } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { layerNamed, withForm } from "./forms-layer.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "./tiny.ts";

interface Case {
  readonly op: string;
  readonly data: readonly Dim[];
  readonly weight: readonly number[];
  readonly attributes?: Readonly<Record<string, NewAttribute>>;
}

async function layerOf({ op, data, weight, attributes = {} }: Case) {
  const model = modelOf(
    graphOf({
      nodes: [node(op, ["x", "w"], ["y"], attributes)],
      initializers: [floatTensor("w", weight, floats(weight))],
      inputs: [value("x", data)],
      outputs: [{ name: "y" }],
    }),
  );
  return { model, layer: await layerNamed(model, "y", () => null) };
}

const strided: Case = {
  op: "Conv",
  data: [2, 6, 17, 12],
  weight: [8, 6, 3, 5],
  attributes: { strides: ints(2, 1), pads: ints(1, 0, 1, 2) },
};
const grouped: Case = { op: "Conv", data: [1, 8, 9, 9], weight: [6, 4, 3, 3], attributes: { group: int(2) } };
const transposed: Case = {
  op: "ConvTranspose",
  data: [1, 6, 5, 5],
  weight: [6, 4, 3, 3],
  attributes: { strides: ints(2, 2) },
};
const matrices: Case = { op: "MatMul", data: [3, 5, 8], weight: [3, 8, 6] };

describe("the MACs of a form are those of its chain's nodes, counted by themselves", () => {
  const sharing = (order: "basis_first" | "coefficients_first"): Form => ({
    kind: "kernel_sharing",
    order,
    bases: 3,
  });
  const cases: [string, Case, Form][] = [
    ["dense", strided, { kind: "dense" }],
    ["low rank", strided, { kind: "low_rank", rank: 3 }],
    ["spatial", strided, { kind: "spatial", axis: 0, rank: 3 }],
    ["spatial, the other axis first", strided, { kind: "spatial", axis: 1, rank: 3 }],
    ["Tucker-2", strided, { kind: "tucker", inputRank: 2, outputRank: 5 }],
    ["Tucker-2 of two", strided, { kind: "tucker", inputRank: 2, outputRank: null }],
    ["basis first", strided, sharing("basis_first")],
    ["coefficients first", strided, sharing("coefficients_first")],
    ["grouped, low rank", grouped, { kind: "low_rank", rank: 2 }],
    ["grouped, basis first", grouped, sharing("basis_first")],
    ["transposed, dense", transposed, { kind: "dense" }],
    ["transposed, low rank", transposed, { kind: "low_rank", rank: 2 }],
    ["matrices, dense", matrices, { kind: "dense" }],
    ["matrices, low rank", matrices, { kind: "low_rank", rank: 2 }],
  ];
  test.each(cases)("%s", async (_, one, form) => {
    const { model, layer } = await layerOf(one);
    const weights = chainOf(form, layer.target).map(({ weight }) => ({
      role: weight!.role,
      values: floats(storedDims(weight!)),
    }));
    const chained = withForm(model, layer, { form, weights, dense: layer.matrices, error: 0 });
    const counted = listLayers(chained, await inferShapes(chained)).map(({ macs }) => macs!);
    expect(workMacs(formWork(form, layer.target))).toBe(counted.reduce((sum, macs) => sum + macs, 0));
  });
});

describe("predicted time", () => {
  const square: Case = {
    op: "Conv",
    data: [1, 64, 56, 56],
    weight: [64, 64, 3, 3],
    attributes: { pads: ints(1, 1, 1, 1) },
  };

  test("of kernel sharing agrees with the convolutions' own, up to a microsecond a node", async () => {
    const { layer } = await layerOf(square);
    const dense = { inputs: 64, outputs: 64, groups: 1, kernel: 9, positions: 56 * 56 };
    const parts = sharingWork(dense, 5, "basis_first");
    const time = workTime(formWork({ kind: "kernel_sharing", order: "basis_first", bases: 5 }, layer.target));
    const expected = parts.reduce((sum, part) => sum + convolutionTime(part), 0);
    expect(Math.abs(time - expected)).toBeLessThan(0.0021);
  });

  test("agrees with ALGORITHMS §3's measured speed-ups of the other forms to within a fifth", async () => {
    const { layer } = await layerOf(square);
    const dense = workTime(formWork({ kind: "dense" }, layer.target));
    const faster = (form: Form) => dense / workTime(formWork(form, layer.target));
    const within = (ratio: number, low: number, high: number) => {
      expect(ratio).toBeGreaterThan(low * 0.8);
      expect(ratio).toBeLessThan(high * 1.2);
    };
    within(faster({ kind: "low_rank", rank: 32 }), 1.7, 1.8);
    within(faster({ kind: "spatial", axis: 0, rank: 64 }), 1.4, 1.5);
    within(faster({ kind: "tucker", inputRank: 32, outputRank: 32 }), 2.6, 2.7);
  });

  test("is relative where shapes are unknown, and MACs are not claimed", async () => {
    const { layer } = await layerOf({ ...strided, data: ["n", 6, "h", "w"] });
    const work = formWork({ kind: "low_rank", rank: 2 }, layer.target);
    expect(workMacs(work)).toBeNull();
    expect(workTime(work)).toBeLessThan(workTime(formWork({ kind: "dense" }, layer.target)));
  });

  test("of a layer of a few elements a second node never pays", async () => {
    const { layer } = await layerOf({ op: "MatMul", data: [1, 16], weight: [16, 16] });
    const time = (form: Form) => workTime(formWork(form, layer.target));
    expect(time({ kind: "low_rank", rank: 1 })).toBeGreaterThan(time({ kind: "dense" }));
  });
});
