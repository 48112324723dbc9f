import { describe, expect, test } from "vitest";
import type { WeightRole } from "../../src/compress/forms/chain.ts";
import { FactoredLayer } from "../../src/compress/forms/factored-layer.ts";
import type { Form } from "../../src/compress/forms/form.ts";
import { formError } from "../../src/compress/forms/solution.ts";
import { madeInTurn } from "../../src/compress/forms/step-moments.ts";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import { toMatrices } from "../../src/compress/layer-matrix.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { type FoundLayer, layerModel, layerNamed, momentsOf, solved, withForm } from "./forms-layer.ts";
import { integers } from "./one-layer.ts";
import { floats, runBoth, value } from "./tiny.ts";

/** What each weight of the form's solution sees. */
function stepMoments(found: FoundLayer, form: Form): Map<WeightRole, readonly (InputMoments | null)[]> {
  const solution = solved(found, form);
  const seen = new Map<WeightRole, readonly (InputMoments | null)[]>();
  madeInTurn(
    solution.form,
    found,
    ({ role, layout }, moments) => {
      seen.set(role, moments);
      const { values } = solution.weights.find((weight) => weight.role === role)!;
      return toMatrices(layout, values.subarray(0, layout.count * layout.rows * layout.columns));
    },
    kernels,
  );
  return seen;
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
    const moments = stepMoments(found, form);
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
    const actual = moments.get(role)![0]!;
    expect(actual.n).toBe(expected.n);
    const scale = Math.max(...expected.diagonal);
    expected.gram!.forEach((one, i) => {
      expect(Math.abs(one - actual.gram![i]!)).toBeLessThan(1e-3 * scale);
    });
  });

  test.each<[Form, WeightRole]>([
    [{ kind: "tucker", inputRank: 2, outputRank: 3 }, "right"],
    [{ kind: "kernel_sharing", order: "coefficients_first", bases: 3 }, "coefficients"],
  ])("a 1×1 step in front sees the mean over the kernel's positions: %j", async (form, role) => {
    const found = await layerNamed(model, "y", () => momentsOf(x, count, 24));
    const [moments] = stepMoments(found, form).get(role)!;
    // Channel c at position p of sample r is one vector's entry.
    const vectors = new Float32Array(count * 6 * 4);
    for (let r = 0; r < count; r++) {
      for (let c = 0; c < 4; c++)
        for (let p = 0; p < 6; p++) vectors[(r * 6 + p) * 4 + c] = x[r * 24 + c * 6 + p]!;
    }
    const expected = momentsOf(vectors, count * 6, 4);
    expected.gram!.forEach((one, i) => {
      expect(Math.abs(one - moments!.gram![i]!)).toBeLessThan(1e-5);
    });
  });

  test("nothing is known of what a shared basis sees: it multiplies each channel alone", async () => {
    const found = await layerNamed(model, "y", () => momentsOf(x, count, 24));
    for (const order of ["basis_first", "coefficients_first"] as const) {
      expect(stepMoments(found, { kind: "kernel_sharing", order, bases: 3 }).get("basis")).toEqual([null]);
    }
  });
});

test("a step in front is stored for what it sees: of few levels, with less than 0.7 of the layer error", async () => {
  const model = layerModel("Conv", [[1, 8, 6, 6], [12, 8, 3, 3], null], {});
  const found = await layerNamed(model, "y");
  const solution = solved(found, { kind: "kernel_sharing", order: "coefficients_first", bases: 4 });
  const treatment = { form: null, sparsity: null, storage: integers(7) };
  const errorSeeing = (moments: FoundLayer["moments"]) => {
    const { matrices } = new FactoredLayer({ ...found, moments }, kernels).store(
      solution,
      treatment,
      DataType.FLOAT,
      14,
    );
    return formError(found, matrices, kernels);
  };
  expect(errorSeeing(found.moments)).toBeLessThan(0.7 * errorSeeing([null]));
});
