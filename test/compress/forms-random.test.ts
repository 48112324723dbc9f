import fc from "fast-check";
import { expect, test } from "vitest";
import { chainOf } from "../../src/compress/forms/chain.ts";
import { type Form, reasonAgainst } from "../../src/compress/forms/form.ts";
import type { NewAttribute } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { layerModel, layerNamed, solved, weightDims, withDense, withForm } from "./forms-layer.ts";
import { floatFeed, int, ints, largestRelative, runWeb } from "./tiny.ts";

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
  const seen = new Map<string, number>();
  const run = (model: Model, data: readonly number[]) => runWeb(model, { x: floatFeed(data) });
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
      expect(largestRelative(expected, actual)).toBeLessThan(1e-4);
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
