import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chainOf } from "../../src/compress/forms/chain.ts";
import { type Form, FormError, reasonAgainst } from "../../src/compress/forms/form.ts";
import type { FormSolution } from "../../src/compress/forms/solution.ts";
import { stepMoments } from "../../src/compress/forms/step-moments.ts";
import { prepareKernelSharing } from "../../src/compress/kernel-sharing/calibrated.ts";
import { prepareLowRank } from "../../src/compress/low-rank/low-rank.ts";
import { prepareSpatial } from "../../src/compress/low-rank/spatial.ts";
import { prepareTucker } from "../../src/compress/low-rank/tucker.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import type { Dim, Model } from "../../src/onnx/model.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { type FoundLayer, layerNamed, momentsOf, weightDims, withDense, withForm } from "./forms-layer.ts";
import { floatFeed, floats, floatTensor, graphOf, int, ints, modelOf, node, runBoth, value } from "./tiny.ts";

function solved(layer: FoundLayer, form: Form): FormSolution {
  switch (form.kind) {
    case "kernel_sharing":
      return prepareKernelSharing([layer], kernels).at(form.bases, form.order)[0]!;
    case "low_rank":
      return prepareLowRank(layer, kernels).at(form.rank);
    case "spatial":
      return prepareSpatial(layer, form.axis, kernels).at(form.rank);
    case "tucker":
      return prepareTucker(layer, kernels).at(form.inputRank, form.outputRank);
    case "dense":
      return { form, weights: [{ role: "weight", values: layer.matrices }], dense: layer.matrices, error: 0 };
  }
}

function layerModel(
  op: string,
  inputs: readonly [data: readonly number[], weight: readonly number[], bias: readonly number[] | null],
  attributes: Readonly<Record<string, NewAttribute>>,
  left = false,
): Model {
  const [data, weight, bias] = inputs;
  const names = left ? ["w", "x"] : ["x", "w"];
  return modelOf(
    graphOf({
      nodes: [node(op, bias ? [...names, "b"] : names, ["y"], attributes)],
      initializers: [
        floatTensor("w", weight, floats(weight)),
        ...(bias ? [floatTensor("b", bias, floats(bias, 3))] : []),
      ],
      inputs: [value("x", data)],
      outputs: [{ name: "y" }],
    }),
  );
}

/** Largest difference over the largest output. */
function relative(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  const most = a.reduce((max, one) => Math.max(max, Math.abs(one)), 1e-6);
  return a.reduce((max, one, i) => Math.max(max, Math.abs(one - b[i]!)), 0) / most;
}

/** The chain and the weight that it stands for give the same outputs, in onnxruntime-web and -node. */
async function checked(model: Model, form: Form, data: readonly number[], bound = 1e-4) {
  const layer = await layerNamed(model, "y");
  const solution = solved(layer, form);
  const chained = withForm(model, layer, solution);
  const feeds = { x: floatFeed(data) };
  const expected = await runBoth(withDense(model, layer, solution.dense), feeds);
  const actual = await runBoth(chained, feeds);
  expect(relative(expected.web, actual.web)).toBeLessThan(bound);
  expect(relative(expected.node, actual.node)).toBeLessThan(bound);
  return { layer, solution, chained, steps: chainOf(solution.form, layer.target) };
}

interface Geometry {
  readonly data: readonly number[];
  readonly weight: readonly number[];
  readonly bias: boolean;
  readonly attributes: Readonly<Record<string, NewAttribute>>;
}

/** Convolutions of one to three axes, small enough to run by the hundred; every output has at least one position. */
const geometries: fc.Arbitrary<Geometry> = fc
  .record({
    axes: fc.array(
      fc.record({
        kernel: fc.integer({ min: 1, max: 4 }),
        stride: fc.integer({ min: 1, max: 3 }),
        dilation: fc.integer({ min: 1, max: 2 }),
        before: fc.integer({ min: 0, max: 2 }),
        after: fc.integer({ min: 0, max: 2 }),
        extra: fc.integer({ min: 0, max: 5 }),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    groups: fc.integer({ min: 1, max: 3 }),
    inputs: fc.integer({ min: 1, max: 4 }),
    outputs: fc.integer({ min: 1, max: 4 }),
    batch: fc.integer({ min: 1, max: 2 }),
    bias: fc.boolean(),
    mode: fc.constantFrom("explicit", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
  })
  .map(({ axes, groups, inputs, outputs, batch, bias, mode }) => {
    const padded = mode === "explicit" || mode === "NOTSET";
    // SAME padding of dilated kernels is not supported by onnxruntime.
    const dilations = axes.map(({ dilation }) => (mode.startsWith("SAME") ? 1 : dilation));
    const sizes = axes.map(({ kernel, extra }, i) => (kernel - 1) * dilations[i]! + 1 + extra);
    const pads = [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)];
    const attributes: Record<string, NewAttribute> = {
      strides: ints(...axes.map(({ stride }) => stride)),
      dilations: ints(...dilations),
      group: int(groups),
    };
    if (padded) attributes.pads = ints(...pads);
    if (mode !== "explicit") attributes.auto_pad = { type: "string", value: mode };
    return {
      data: [batch, inputs * groups, ...sizes],
      weight: [outputs * groups, inputs, ...axes.map(({ kernel }) => kernel)],
      bias,
      attributes,
    };
  });

const forms: fc.Arbitrary<Form> = fc.oneof(
  fc.record({ kind: fc.constant("low_rank" as const), rank: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant("kernel_sharing" as const),
    order: fc.constantFrom("basis_first" as const, "coefficients_first" as const),
    bases: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constant("spatial" as const),
    axis: fc.integer({ min: 0, max: 2 }),
    rank: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constant("tucker" as const),
    inputRank: fc.integer({ min: 1, max: 3 }),
    outputRank: fc.option(fc.integer({ min: 1, max: 3 })),
  }),
);

test("every form of random convolutions computes what its dense weight does, to 1e-4, in onnxruntime-web", async () => {
  const runtime = await nodeRuntime();
  const seen = new Map<string, number>();
  const run = async (model: Model, data: readonly number[]) => {
    const session = await runtime.load(await modelBytes(model));
    const feed = floatFeed(data);
    const outputs = await session.run({ x: { dataType: 1, dims: data, data: feed.data as Float32Array } });
    await session.release();
    return Array.from(outputs.y!.data as Float32Array);
  };
  await fc.assert(
    fc.asyncProperty(geometries, forms, async ({ data, weight, bias, attributes }, form) => {
      const model = layerModel("Conv", [data, weight, bias ? [weight[0]!] : null], attributes);
      const layer = await layerNamed(model, "y");
      fc.pre(reasonAgainst(form.kind, layer.target) === null);
      fc.pre(form.kind !== "spatial" || (weight[2 + form.axis] ?? 1) > 1);
      const solution = solved(layer, form);
      expect(solution.error).toBeGreaterThanOrEqual(0);
      const expected = await run(withDense(model, layer, solution.dense), data);
      const actual = await run(withForm(model, layer, solution), data);
      expect(relative(expected, actual)).toBeLessThan(1e-4);
      const dims = weightDims(chainOf(solution.form, layer.target));
      expect(solution.weights.map(({ values }) => values.length)).toEqual(dims.map(elementCount));
      seen.set(form.kind, (seen.get(form.kind) ?? 0) + 1);
    }),
    { numRuns: 120, seed: 7 },
  );
  expect(
    Math.min(...["low_rank", "kernel_sharing", "spatial", "tucker"].map((kind) => seen.get(kind) ?? 0)),
  ).toBeGreaterThan(10);
});

describe("chains of convolutions, to 1e-4 in both runtimes", () => {
  const same: Readonly<Record<string, NewAttribute>> = {
    auto_pad: { type: "string", value: "SAME_UPPER" },
    strides: ints(2, 1),
  };
  const model = layerModel("Conv", [[1, 6, 11, 9], [8, 6, 3, 5], [8]], same);

  test("spatial: k×1 to the rank, then 1×k", async () => {
    const { chained, steps } = await checked(model, { kind: "spatial", axis: 0, rank: 5 }, [1, 6, 11, 9]);
    expect(weightDims(steps)).toEqual([
      [5, 6, 3, 1],
      [8, 5, 1, 5],
    ]);
    expect(chained.graph.nodes.map(({ inputs }) => inputs.length)).toEqual([2, 3]);
  });

  test("Tucker-2: 1×1, k×k, 1×1, and the bias on the last", async () => {
    const form: Form = { kind: "tucker", inputRank: 3, outputRank: 4 };
    const { chained, steps } = await checked(model, form, [1, 6, 11, 9]);
    expect(weightDims(steps)).toEqual([
      [3, 6, 1, 1],
      [4, 3, 3, 5],
      [8, 4, 1, 1],
    ]);
    expect(chained.graph.nodes.map(({ inputs }) => inputs.length)).toEqual([2, 2, 3]);
    expect(chained.graph.nodes.at(-1)!.name).toBe("y");
  });

  test("low rank of a 1×1 convolution with strides: two of them", async () => {
    const pointwise = layerModel("Conv", [[1, 8, 6, 6], [6, 8, 1, 1], [6]], { strides: ints(2, 2) });
    const { steps } = await checked(pointwise, { kind: "low_rank", rank: 3 }, [1, 8, 6, 6]);
    expect(weightDims(steps)).toEqual([
      [3, 8, 1, 1],
      [6, 3, 1, 1],
    ]);
  });

  test("a depthwise convolution parts along its axes and no other way", async () => {
    const depthwise = layerModel("Conv", [[1, 4, 7, 7], [4, 1, 3, 3], [4]], {
      group: int(4),
      pads: ints(1, 1, 1, 1),
    });
    await checked(depthwise, { kind: "spatial", axis: 1, rank: 1 }, [1, 4, 7, 7]);
    const layer = await layerNamed(depthwise, "y");
    expect(() => solved(layer, { kind: "low_rank", rank: 1 })).toThrow(FormError);
  });

  test("a transposed convolution: 1×1, then itself, with all of its attributes", async () => {
    for (const groups of [1, 2]) {
      const transposed = layerModel("ConvTranspose", [[1, 6, 4, 5], [6, 4, 3, 3], [4 * groups]], {
        group: int(groups),
        strides: ints(2, 2),
        pads: ints(1, 0, 1, 1),
        output_padding: ints(1, 0),
      });
      const { steps } = await checked(transposed, { kind: "low_rank", rank: 2 }, [1, 6, 4, 5]);
      expect(steps.map(({ op }) => op)).toEqual(["Conv", "ConvTranspose"]);
      expect(weightDims(steps)).toEqual([
        [2 * groups, 6 / groups, 1, 1],
        [2 * groups, 4, 3, 3],
      ]);
    }
  });
});

describe("chains of products, to 1e-4 in both runtimes", () => {
  const form: Form = { kind: "low_rank", rank: 3 };
  const scaled = { alpha: { type: "float", value: 0.5 }, beta: { type: "float", value: 2 } } as const;

  for (const transA of [0, 1]) {
    for (const transB of [0, 1]) {
      test(`Gemm, transA ${transA}, transB ${transB}, weight on either side`, async () => {
        const attributes = { transA: int(transA), transB: int(transB), ...scaled };
        const [x, w] = [transA ? [8, 5] : [5, 8], transB ? [6, 8] : [8, 6]];
        const { steps } = await checked(layerModel("Gemm", [x, w, [6]], attributes), form, x);
        expect(weightDims(steps)).toEqual([
          [8, 3],
          [3, 6],
        ]);
        const left = await checked(layerModel("Gemm", [w, x, [5, 6]], attributes, true), form, w);
        expect(left.steps.length).toBe(transB ? 3 : 2);
      });
    }
  }

  test("MatMul, also of a batch of matrices", async () => {
    await checked(layerModel("MatMul", [[2, 5, 8], [8, 6], null], {}), form, [2, 5, 8]);
    await checked(layerModel("MatMul", [[2, 8, 5], [6, 8], null], {}, true), form, [2, 8, 5]);
    const { steps } = await checked(layerModel("MatMul", [[3, 5, 8], [3, 8, 6], null], {}), form, [3, 5, 8]);
    expect(weightDims(steps)).toEqual([
      [3, 8, 3],
      [3, 3, 6],
    ]);
  });
});

for (const [op, gates] of [
  ["LSTM", 4],
  ["GRU", 3],
  ["RNN", 1],
] as const) {
  test(`W of a bidirectional ${op}: both directions read one product, to 1e-4 in both runtimes; R stays`, async () => {
    const hidden = 5;
    const shapes = { w: [2, gates * hidden, 7], r: [2, gates * hidden, hidden], b: [2, 2 * gates * hidden] };
    const outputs: Dim[] = [4, 2, 2, hidden];
    const model = modelOf(
      graphOf({
        nodes: [
          node(op, ["x", "w", "r", "b"], ["y"], {
            hidden_size: int(hidden),
            direction: { type: "string", value: "bidirectional" },
          }),
        ],
        initializers: Object.entries(shapes).map(([name, dims], i) =>
          floatTensor(name, dims, floats(dims, i + 1)),
        ),
        inputs: [value("x", [4, 2, 7])],
        outputs: [value("y", outputs)],
      }),
    );
    const layer = await layerNamed(model, "y.W");
    const solution = solved(layer, { kind: "low_rank", rank: 3 });
    const feeds = { x: floatFeed([4, 2, 7]) };
    const expected = await runBoth(withDense(model, layer, solution.dense), feeds);
    const chained = withForm(model, layer, solution);
    const actual = await runBoth(chained, feeds);
    expect(relative(expected.web, actual.web)).toBeLessThan(1e-4);
    expect(relative(expected.node, actual.node)).toBeLessThan(1e-4);
    expect(chained.graph.nodes.map(({ opType }) => opType)).toEqual(["MatMul", op]);
    const recurrent = await layerNamed(model, "y.R");
    expect(reasonAgainst("low_rank", recurrent.target)).toMatch(/every step/);
  });
}

describe("moments of each step's input, from those of the layer's, to 1e-3", () => {
  /** Without padding and with a 1×1 map of outputs, every step sees exactly the vectors that the layer's moments count. */
  const weight = [5, 4, 3, 2];
  const model = layerModel("Conv", [[1, 4, 3, 2], weight, null], {});
  const count = 7;
  const x = floats([count, 24], 8);
  const cases: Form[] = [
    { kind: "low_rank", rank: 3 },
    { kind: "spatial", axis: 0, rank: 3 },
    { kind: "spatial", axis: 1, rank: 2 },
    { kind: "tucker", inputRank: 2, outputRank: 3 },
    { kind: "kernel_sharing", order: "basis_first", bases: 3 },
  ];
  test.each(cases)("%j", async (form) => {
    const found = await layerNamed(model, "y", () => momentsOf(x, count, 24));
    const solution = solved(found, form);
    const moments = stepMoments(found, solution, kernels);
    const chained = withForm(model, found, solution);
    const [last, before] = [...chained.graph.nodes].reverse();
    const role = solution.weights.at(-1)!.role;
    // The last step's input, exposed.
    const outputs = [value(last!.inputs[0]!, [null, null, null, null])];
    const exposed = {
      ...chained,
      graph: { ...chained.graph, nodes: chained.graph.nodes.slice(0, -1), outputs },
    };
    expect(before!.outputs).toEqual([last!.inputs[0]]);
    const rows: number[] = [];
    for (let i = 0; i < count; i++) {
      const feed = { type: "float32", dims: [1, 4, 3, 2], data: x.slice(i * 24, (i + 1) * 24) } as const;
      rows.push(...(await runBoth(exposed, { x: feed })).web);
    }
    const expected = momentsOf(Float32Array.from(rows), count, rows.length / count);
    const actual = moments[role]![0]!;
    expect(actual.n).toBe(expected.n);
    const scale = Math.max(...expected.diagonal);
    expected.gram!.forEach((one, i) => {
      expect(Math.abs(one - actual.gram![i]!)).toBeLessThan(1e-3 * scale);
    });
  });

  test("a 1×1 step in front sees the mean over the kernel's positions", async () => {
    const found = await layerNamed(model, "y", () => momentsOf(x, count, 24));
    const moments = stepMoments(
      found,
      solved(found, { kind: "tucker", inputRank: 2, outputRank: 3 }),
      kernels,
    );
    // Channel c at position p of sample r is one vector's entry.
    const vectors = new Float32Array(count * 6 * 4);
    for (let r = 0; r < count; r++) {
      for (let c = 0; c < 4; c++)
        for (let p = 0; p < 6; p++) vectors[(r * 6 + p) * 4 + c] = x[r * 24 + c * 6 + p]!;
    }
    const expected = momentsOf(vectors, count * 6, 4);
    expected.gram!.forEach((one, i) => {
      expect(Math.abs(one - moments.right![0]!.gram![i]!)).toBeLessThan(1e-5);
    });
  });
});

test("a shared basis is stored once and repeated by a Tile, also before opset 13; to 1e-4", async () => {
  const data = [1, 16, 7, 7];
  for (const order of ["basis_first", "coefficients_first"] as const) {
    const model = {
      ...layerModel("Conv", [data, [12, 16, 3, 3], [12]], {}),
      opsetImports: [{ domain: "", version: 8 }],
    };
    const { steps, chained } = await checked(model, { kind: "kernel_sharing", order, bases: 4 }, data);
    const basis = order === "basis_first" ? [4, 1, 3, 3] : [1, 4, 3, 3];
    expect(weightDims(steps)).toContainEqual(basis);
    const operators = chained.graph.nodes.map(({ opType }) => opType);
    expect(operators.filter((operator) => operator !== "Tile")).toEqual(["Conv", "Conv"]);
    expect(operators.length).toBe(3);
    const stored = (one: Model) =>
      one.graph.initializers.reduce((sum, { dims }) => sum + elementCount(dims), 0);
    expect(stored(chained)).toBe(4 * 9 + 12 * 16 * 4 + 12 + 4);
    expect(stored(chained)).toBeLessThan(stored(model));
  }
});

test("the dense form's chain is the node itself", async () => {
  const data = [1, 3, 5, 5];
  const model = layerModel("Conv", [data, [4, 3, 3, 3], [4]], { pads: ints(1, 1, 1, 1) });
  const { chained } = await checked(model, { kind: "dense" }, data, 1e-7);
  expect(chained.graph.nodes.length).toBe(1);
  expect(chained.graph.nodes[0]!.attributes).toEqual(model.graph.nodes[0]!.attributes);
});

test("forms that a layer does not have say why", async () => {
  const onePixel = await layerNamed(layerModel("Conv", [[1, 4, 5, 5], [4, 4, 1, 1], null], {}), "y");
  expect(reasonAgainst("kernel_sharing", onePixel.target)).toBe("its kernel is 1×1");
  const matrix = await layerNamed(layerModel("MatMul", [[5, 8], [8, 6], null], {}), "y");
  expect(reasonAgainst("tucker", matrix.target)).toBe("it is no convolution");
  const flat = await layerNamed(layerModel("Conv", [[1, 4, 9], [4, 4, 3], null], {}), "y");
  expect(reasonAgainst("spatial", flat.target)).toBe("its kernel has one axis only");
  expect(() => chainOf({ kind: "low_rank", rank: 0 }, matrix.target)).toThrow(FormError);
});
