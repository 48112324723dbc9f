import { describe, expect, test } from "vitest";
import { candidatesOf } from "../../src/compress/allocate/candidates.ts";
import { probeModel, withMeasuredLosses } from "../../src/compress/allocate/probe.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import { relativeError } from "../../src/compress/weight.ts";
import type { FloatArray } from "../../src/kernels/reference/matmul.ts";
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

const dims = [24, 24, 3, 3];

function factsOf(name: string): LayerFacts {
  return {
    name,
    op: "Conv",
    dims,
    dataType: DataType.FLOAT,
    bytes: 24 * 24 * 9 * 4,
    macs: 24 * 24 * 9 * 400,
    inputAxis: 1,
    fixed: null,
    sharing: {
      reason: null,
      work: { inputs: 24, outputs: 24, groups: 1, kernel: 9, positions: 400 },
      known: true,
      unitStrides: true,
    },
  };
}

function probed(name: string, seed: number) {
  const facts = factsOf(name);
  const weight = { dataType: DataType.FLOAT, dims, values: floats(dims, seed) };
  const candidates = candidatesOf(facts, weight, { sparsity: true, kernelSharing: true });
  return { choices: { layer: name, candidates }, facts, load: async () => weight, weight };
}

describe("measured losses", () => {
  const layers = [probed("a", 1), probed("b", 2)];
  /** Layer a passes ten times its weight error on, layer b a tenth. */
  const factors = [10, 0.1];
  const lossOf = async (layer: number, weight: { data: unknown }) =>
    factors[layer]! * relativeError(layers[layer]!.weight.values, weight.data as FloatArray);

  test("every candidate is expected to lose what its layer's probes lost per error, to 1%", async () => {
    const measured = await withMeasuredLosses(layers, lossOf, 100);
    for (const [i, { candidates, losses }] of measured.entries()) {
      expect(losses!.length).toBe(candidates.length);
      for (const [k, candidate] of candidates.entries()) {
        const expected = factors[i]! * candidate.error;
        expect(Math.abs(losses![k]! - expected)).toBeLessThanOrEqual(0.01 * expected + 1e-9);
      }
    }
  });

  test("no more runs than allowed; a layer that got none takes over the others' factor", async () => {
    let runs = 0;
    const counted = (layer: number, weight: { data: unknown }) => {
      runs += 1;
      return lossOf(layer, weight);
    };
    await withMeasuredLosses(layers.slice(0, 1), counted, 100);
    const enoughForOne = runs;
    runs = 0;
    const [a, b] = await withMeasuredLosses(layers, counted, enoughForOne + 1);
    expect(runs).toBe(enoughForOne);
    expect(a!.losses).toBeDefined();
    expect(b!.losses).toBeUndefined();
    expect(Math.abs(b!.influence! - 10)).toBeLessThan(0.5);
  });

  test("a run that gives no number counts as a lost output", async () => {
    const [a] = await withMeasuredLosses(layers.slice(0, 1), async () => Number.NaN, 100);
    const [first, ...others] = a!.losses!;
    expect(first).toBe(0);
    expect(Math.max(...others)).toBeGreaterThanOrEqual(1);
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
  const site = (graph: string[], name: string) => ({
    layer: name,
    node: { graph, output: "y" },
    weight: { graph, name },
  });
  const probe = probeModel(
    model,
    [site([], "outer"), site(["out", "then_branch"], "inner")],
    [
      { dataType: DataType.FLOAT, dims: [4, 6] },
      { dataType: DataType.FLOAT, dims: [6, 5] },
    ],
  );
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
