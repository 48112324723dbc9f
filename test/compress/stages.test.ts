import { describe, expect, test } from "vitest";
import { Recipe } from "../../schemas/recipe.ts";
import { decide, type LayerChoices } from "../../src/compress/allocate/decide.ts";
import { policyOf } from "../../src/compress/allocate/policy.ts";
import { assemble } from "../../src/compress/assemble.ts";
import { prepareKernelSharing, withSharedKernels } from "../../src/compress/kernel-sharing/calibrated.ts";
import { factsOf, readWeight, siteOf } from "../../src/compress/layer-of-model.ts";
import type { LayerResult } from "../../src/compress/layer-result.ts";
import { LayerTreater } from "../../src/compress/layer-treater.ts";
import { prepareBasisSharing, withSharedBasis } from "../../src/compress/low-rank/basis-sharing.ts";
import { settled } from "../../src/compress/settle.ts";
import { layerStages } from "../../src/compress/stages/layer-stages.ts";
import type { StageOffer } from "../../src/compress/stages/offer.ts";
import { solveStage } from "../../src/compress/stages/solve-stage.ts";
import { type Candidate, UNTOUCHED } from "../../src/compress/treatment.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import type { Layer } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { correlatedMoments } from "./forms-layer.ts";
import { layersOf } from "./one-layer.ts";
import {
  floatFeed,
  floats,
  floatTensor,
  graphOf,
  ints,
  largestDifference,
  modelOf,
  node,
  runWeb,
  value,
} from "./tiny.ts";

/** Convolutions one after the other at one size, but for 5×5 in the middle and a last one with strides. */
function convolutions(): Model {
  const shapes = [
    [24, 24, 3, 3],
    [24, 24, 3, 3],
    [24, 24, 5, 5],
    [32, 24, 3, 3],
    [16, 32, 3, 3],
  ];
  return modelOf(
    graphOf({
      nodes: shapes.map(([, , size = 0], i) =>
        node("Conv", [i === 0 ? "x" : `y${i - 1}`, `w${i}`], [`y${i}`], {
          pads: ints(...Array.from({ length: 4 }, () => (size - 1) / 2)),
          strides: i === 4 ? ints(2, 2) : ints(1, 1),
        }),
      ),
      initializers: shapes.map((dims, i) => floatTensor(`w${i}`, dims, floats(dims, i + 1))),
      inputs: [value("x", [1, 24, 20, 20])],
      outputs: [{ name: "y4" }],
    }),
  );
}

/** Three products of 48 features, and one that gives 8. */
function products(): Model {
  const shapes = [48, 48, 48, 8].map((outputs) => [48, outputs]);
  return modelOf(
    graphOf({
      nodes: shapes.map((_, i) => node("MatMul", [i === 0 ? "x" : `y${i - 1}`, `w${i}`], [`y${i}`])),
      initializers: shapes.map((dims, i) => floatTensor(`w${i}`, dims, floats(dims, i + 1))),
      inputs: [value("x", [1024, 48])],
      outputs: [{ name: "y3" }],
    }),
  );
}

function stagesOf(layers: readonly Layer[], recipe: Recipe) {
  const policy = policyOf(
    Recipe.parse(recipe),
    layers.map(({ name }) => name),
  );
  const staged = layers.map((layer) => ({ facts: factsOf(layer), graph: layer.weight.path }));
  return layerStages(staged, policy).map((stage) => stage.layers.map((index) => layers[index]!.name));
}

async function treaterOf(layer: Layer, offers: readonly StageOffer[] = []): Promise<LayerTreater> {
  const facts = factsOf(layer);
  return new LayerTreater({
    facts,
    weight: (await readWeight(layer)) ?? null,
    nonzero: null,
    bias: null,
    moments: [correlatedMoments(facts.layout!.columns)],
    kernels,
    opset: 14,
    globalRatio: null,
    offers,
  });
}

describe("stages", () => {
  test("of kernel sharing: one kernel shape and one output size, whatever the channels", async () => {
    const layers = await layersOf(convolutions());
    const recipe: Recipe = { kernel_sharing: { bases: 2, share: "stage" } };
    expect(stagesOf(layers, recipe)).toEqual([["y0", "y1", "y3"]]);
    expect(stagesOf(layers, { kernel_sharing: { bases: 2 } })).toEqual([]);
    expect(stagesOf(layers, { ...recipe, layers: { y0: { skip: true } } })).toEqual([["y1", "y3"]]);
    const other: Recipe["layers"] = { y0: { kernel_sharing: { bases: 4 } } };
    expect(stagesOf(layers, { ...recipe, layers: other })).toEqual([["y1", "y3"]]);
    const alone: Recipe["layers"] = { y0: { kernel_sharing: { share: "layer" } } };
    expect(stagesOf(layers, { ...recipe, layers: alone })).toEqual([["y1", "y3"]]);
  });

  test("of low rank: as many input and output features", async () => {
    const layers = await layersOf(products());
    expect(stagesOf(layers, { low_rank: { rank: 4, share: "stage" } })).toEqual([["y0", "y1", "y2"]]);
    expect(stagesOf(layers, { low_rank: { share: "stage" } })).toEqual([["y0", "y1", "y2"]]);
    expect(stagesOf(layers, { low_rank: { rank: 4 } })).toEqual([]);
  });
});

describe("the basis of a stage", () => {
  test("a layer finds its own factor from it, the very one of the joint solution", async () => {
    const [a, b] = await Promise.all((await layersOf(products())).slice(0, 2).map((one) => treaterOf(one)));
    const layers = [a!.formLayer, b!.formLayer];
    for (const [i, joint] of prepareBasisSharing(layers, kernels).at(5).entries()) {
      expect(withSharedBasis(layers[i]!, joint.basis, kernels).weights).toEqual(joint.weights);
    }
    const convs = await layersOf(convolutions());
    const members = await Promise.all([convs[0]!, convs[3]!].map((one) => treaterOf(one)));
    const forms = members.map(({ formLayer }) => formLayer);
    for (const order of ["basis_first", "coefficients_first"] as const) {
      for (const [i, joint] of prepareKernelSharing(forms, kernels).at(3, order).entries()) {
        expect(withSharedKernels(forms[i]!, joint.basis, order, kernels).weights).toEqual(joint.weights);
      }
    }
  });

  test("is offered to layers that it makes smaller and not slower, and at the least rank that keeps an energy in each", async () => {
    const layers = (await layersOf(products())).slice(0, 3);
    const treaters = await Promise.all(layers.map((one) => treaterOf(one)));
    const stage = { name: "1", kind: "low_rank" } as const;
    const at = (rank: number) => solveStage(stage, treaters, [rank], ["web"], kernels);
    expect(at(16)[0]?.layers).toEqual(["y0", "y1", "y2"]);
    // 48·30 numbers and a third of as many are fewer than 48·48, but take longer.
    expect(at(30)).toEqual([]);
    const [offer] = solveStage(stage, treaters, { energy: 0.9 }, ["web"], kernels);
    const rank = offer!.basis.length / 48;
    const joint = prepareBasisSharing(
      treaters.map(({ formLayer }) => formLayer),
      kernels,
    );
    expect(Math.max(...joint.at(rank).map(({ error }) => error))).toBeLessThanOrEqual(0.1);
    expect(Math.max(...joint.at(rank - 1).map(({ error }) => error))).toBeGreaterThan(0.1);
  });

  test("is stored once, and the model computes what the layers' effective weights say, to 1e-4", async () => {
    const model = products();
    const layers = (await layersOf(model)).slice(0, 3);
    const treaters = await Promise.all(layers.map((one) => treaterOf(one)));
    const offers = solveStage({ name: "1", kind: "low_rank" }, treaters, [8], ["web"], kernels);
    const treatment = { form: offers[0]!.form, sparsity: null, storage: null };
    const shared = await Promise.all(layers.map((one) => treaterOf(one, offers)));
    const treated = shared.map((one) => one.treat(treatment));
    const results = treated.map(({ result }) => result);
    const { model: edited, dropped } = assemble(model, layers.map(siteOf), results, 14);
    expect(dropped).toEqual([]);
    const dims = edited.graph.initializers.map((one) => one.dims.join("×")).sort();
    expect(dims).toEqual(["48×8", "48×8", "8×48", "8×48", "8×48"]);
    const dense: Model = {
      ...model,
      graph: {
        ...model.graph,
        initializers: model.graph.initializers.map((one, i) =>
          i < 3 ? floatTensor(one.name, one.dims, Float32Array.from(treated[i]!.effective)) : one,
        ),
      },
    };
    const feeds = { x: floatFeed([1024, 48]) };
    expect(largestDifference(await runWeb(dense, feeds), await runWeb(edited, feeds))).toBeLessThan(1e-4);
  });

  test("a form that no stage offers is a mistake of the caller", async () => {
    const treater = await treaterOf((await layersOf(products()))[0]!);
    const form = { kind: "low_rank", rank: 3, stage: "1" } as const;
    expect(() => treater.treat({ form, sparsity: null, storage: null })).toThrow(/does not offer/);
  });
});

describe("counting what is shared", () => {
  const result = (layer: string, bytes: number, shared = 100): LayerResult => {
    const pair = (compressed: number) => ({ original: 150, compressed });
    const stored = { parts: [], bytes: shared } as unknown as LayerResult["weights"][number]["stored"];
    return {
      layer,
      op: "MatMul",
      treatment: UNTOUCHED,
      stats: {
        bytes: pair(bytes),
        parameters: pair(10),
        nonzero: pair(5),
        macs: pair(1),
        layerError: 0,
        weightError: 0,
      },
      weights: [{ role: "right", stored, shared: { key: "k", parameters: 25, nonzero: 8 } }],
      chain: null,
      remarks: [],
    };
  };
  const bytesOf = (results: readonly LayerResult[]) => results.map(({ stats }) => stats.bytes.compressed);

  test("once, in whole parts that add up", () => {
    const { results, dropped } = settled([result("a", 50), result("b", 60), result("c", 70)]);
    expect(dropped).toEqual([]);
    expect(bytesOf(results)).toEqual([83, 93, 104]);
    expect(results.reduce((sum, { stats }) => sum + stats.parameters.compressed, 0)).toBe(30 + 25);
    expect(results.reduce((sum, { stats }) => sum + stats.nonzero.compressed, 0)).toBe(15 + 8);
  });

  test("where a layer comes out larger and is dropped, the others bear its part, and may be dropped in turn", () => {
    const one = settled([result("a", 50), result("b", 60), result("c", 140)]);
    expect(one.dropped).toEqual(["c"]);
    expect(bytesOf(one.results)).toEqual([100, 110, 140]);
    expect(settled([result("a", 90), result("b", 120)]).dropped).toEqual(["b", "a"]);
  });
});

test("a search takes what is shared where enough layers do, and pays for it once", () => {
  const candidate = (bytes: number, more: Partial<Candidate> = {}): Candidate => ({
    treatment: UNTOUCHED,
    bytes,
    macs: null,
    time: null,
    error: 0,
    ...more,
  });
  const sharing = candidate(20 + 50 / 2, { shared: { key: "k", bytes: 50, sharers: 2 } });
  const layer = (name: string, own: number): LayerChoices => ({
    layer: name,
    candidates: [candidate(100), candidate(own), sharing],
    influence: null,
    losses: null,
    reason: null,
  });
  const chosen = (...choices: LayerChoices[]) =>
    decide(choices, { bytes: 1, macs: 0, time: 0 }, 1).map((one) => one.candidate);
  expect(chosen(layer("a", 60), layer("b", 60))).toEqual([2, 2]);
  // Alone it would cost 70.
  expect(chosen(layer("a", 60), layer("b", 10))).toEqual([1, 1]);
  expect(chosen(layer("a", 80), layer("b", 10))).toEqual([2, 1]);
});
