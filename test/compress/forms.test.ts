import { describe, expect, test } from "vitest";
import { chainOf } from "../../src/compress/forms/chain.ts";
import { type Form, FormError, reasonAgainst } from "../../src/compress/forms/form.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import type { Dim, Model } from "../../src/onnx/model.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { layerModel, layerNamed, solved, weightDims, withDense, withForm } from "./forms-layer.ts";
import {
  floatFeed,
  floats,
  floatTensor,
  graphOf,
  int,
  ints,
  largestRelative,
  modelOf,
  node,
  runBoth,
  value,
} from "./tiny.ts";

/** The chain and the weight that it stands for give the same outputs, in onnxruntime-web and -node. */
async function checked(model: Model, form: Form, data: readonly number[], bound = 1e-4) {
  const layer = await layerNamed(model, "y");
  const solution = solved(layer, form);
  const chained = withForm(model, layer, solution);
  const feeds = { x: floatFeed(data) };
  const expected = await runBoth(withDense(model, layer, solution.dense), feeds);
  const actual = await runBoth(chained, feeds);
  expect(largestRelative(expected.web, actual.web)).toBeLessThan(bound);
  expect(largestRelative(expected.node, actual.node)).toBeLessThan(bound);
  return { layer, solution, chained, steps: chainOf(solution.form, layer.target) };
}

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
    expect(largestRelative(expected.web, actual.web)).toBeLessThan(1e-4);
    expect(largestRelative(expected.node, actual.node)).toBeLessThan(1e-4);
    expect(chained.graph.nodes.map(({ opType }) => opType)).toEqual(["MatMul", op]);
    const recurrent = await layerNamed(model, "y.R");
    expect(reasonAgainst("low_rank", recurrent.target)).toMatch(/every step/);
  });
}

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
