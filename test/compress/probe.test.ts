import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { candidatesToTry, expectedLosses, probeModel } from "../../src/compress/allocate/probe.ts";
import { type Candidate, UNTOUCHED } from "../../src/compress/treatment.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import {
  type Feed,
  floatFeed,
  floats,
  floatTensor,
  graphOf,
  largestDifference,
  modelOf,
  node,
  runBoth,
  value,
} from "./tiny.ts";

function candidate(error: number, rank: number | null = null): Candidate {
  const form = rank === null ? null : ({ kind: "low_rank", rank } as const);
  const storage = { kind: "integers", levels: 15, group: null, decode: "folded" } as const;
  const treatment = error === 0 ? UNTOUCHED : { form, sparsity: null, storage };
  return { treatment, bytes: 1, macs: null, time: null, error };
}

const errors = fc.array(fc.double({ min: 1e-6, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });

describe("candidates to try", () => {
  test("as many as are allowed and there are, each once, never one without error, some of every form", () => {
    fc.assert(
      fc.property(errors, errors, fc.integer({ min: 0, max: 14 }), (dense, factored, count) => {
        const candidates = [
          candidate(0),
          ...dense.map((e) => candidate(e)),
          ...factored.map((e) => candidate(e, 2)),
        ];
        const tried = candidatesToTry(candidates, count);
        expect(tried.length).toBeLessThanOrEqual(count);
        expect(new Set(tried).size).toBe(tried.length);
        expect(tried.every((i) => candidates[i]!.error > 0)).toBe(true);
        if (count >= 2) expect(new Set(tried.map((i) => candidates[i]!.treatment.form?.kind)).size).toBe(2);
        if (count >= candidates.length) expect(tried.length).toBe(candidates.length - 1);
      }),
    );
  });
});

describe("expected losses", () => {
  test("what was tried is taken as measured; the rest by the factor of loss and error between its neighbours, to 1e-9", () => {
    const candidates = [candidate(0), candidate(0.01), candidate(0.02), candidate(0.03), candidate(0.02, 4)];
    const losses = expectedLosses(candidates, [
      { candidate: 1, loss: 0.05 },
      { candidate: 3, loss: 0.21 },
      { candidate: 4, loss: 0.001 },
    ]);
    const expected = [0, 0.05, 0.02 * 6, 0.21, 0.001];
    for (const [i, loss] of losses.entries()) expect(Math.abs(loss - expected[i]!)).toBeLessThan(1e-9);
  });

  test("losses are never negative nor NaN", () => {
    fc.assert(
      fc.property(errors, fc.double({ min: 0, max: 1, noNaN: true }), (list, loss) => {
        const candidates = [candidate(0), ...list.map((e) => candidate(e))];
        const trials = candidatesToTry(candidates, 3).map((one) => ({ candidate: one, loss }));
        expect(expectedLosses(candidates, trials).every((one) => one >= 0)).toBe(true);
      }),
    );
  });
});

test("the probe model with the layer's own weight fed to it answers as the model does, main graph and If alike", async () => {
  const body = graphOf({
    nodes: [node("MatMul", ["x", "inner"], ["y"])],
    initializers: [floatTensor("inner", [6, 5], floats([6, 5]))],
    outputs: [value("y", [2, 5])],
  });
  const branch = { type: "graph", value: body } as const;
  const model = modelOf(
    graphOf({
      nodes: [
        node("Constant", [], ["outer"], {
          value: { type: "tensor", value: floatTensor("outer", [4, 6], floats([4, 6], 2)) },
        }),
        node("MatMul", ["in", "outer"], ["x"]),
        node("If", ["c"], ["out"], { then_branch: branch, else_branch: branch }),
      ],
      inputs: [value("in", [2, 4]), value("c", [], DataType.BOOL)],
      outputs: [value("out", [2, 5])],
    }),
  );
  const probe = probeModel(model, [
    { graph: [], name: "outer", dataType: DataType.FLOAT, dims: [4, 6] },
    { graph: ["out", "then_branch"], name: "inner", dataType: DataType.FLOAT, dims: [6, 5] },
  ]);
  const feeds = { in: floatFeed([2, 4]), c: { type: "bool", data: Uint8Array.of(1), dims: [] } } as const;
  const fed: Record<string, Feed> = {
    ...feeds,
    [probe.inputs[0]!]: { type: "float32", data: floats([4, 6], 2), dims: [4, 6] } as const,
    [probe.inputs[1]!]: { type: "float32", data: floats([6, 5]), dims: [6, 5] } as const,
  };
  const before = await runBoth(model, feeds);
  const after = await runBoth(probe.model, fed);
  expect(largestDifference(before.web, after.web)).toBeLessThan(1e-6);
  const zeroed = { ...fed, [probe.inputs[1]!]: { ...fed[probe.inputs[1]!]!, data: new Float32Array(30) } };
  expect((await runBoth(probe.model, zeroed)).web.every((y) => y === 0)).toBe(true);
});
