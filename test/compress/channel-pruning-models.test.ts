import { describe, expect, test } from "vitest";
import { chooseRemovals, mayRemove } from "../../src/compress/channel-pruning/choose.ts";
import { findChannelGroups } from "../../src/compress/channel-pruning/groups.ts";
import { pruneChannels } from "../../src/compress/channel-pruning/prune.ts";
import { scoreUnits } from "../../src/compress/channel-pruning/score.ts";
import { simplify } from "../../src/compress/lossless/simplify.ts";
import { FidelityAccumulator, leastR2 } from "../../src/evaluate/fidelity.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { realModel, realModels } from "../models/registry.ts";
import { momentsOf, outputsOf } from "./channel-pruning-check.ts";

async function simplified(name: string): Promise<Model> {
  return (await simplify(await readModel(bytesSource(await realModel(name).bytes())))).model;
}

/** R² on test digits after a share of the bytes that units take is pruned, with and without a refit. */
async function pruned(
  name: string,
  share: number,
): Promise<{ refitted: number; plain: number; size: number }> {
  const real = realModel(name);
  const model = await simplified(name);
  const shapes = await inferShapes(model, { inputShapes: real.inputShapes });
  const { groups } = findChannelGroups(model, shapes);
  const kernels = await nodeKernels();
  const train = await Promise.all([0, 1, 2, 3].map((i) => real.labelled!.train(i * 64, 64)));
  const moments = await momentsOf(
    model,
    train.map(({ feeds }) => feeds),
    kernels,
  );
  const scores = await scoreUnits(listLayers(model, shapes), groups, { moments, kernels });
  const removals = chooseRemovals(groups, scores, share, { save: "bytes" });
  const { feeds } = await real.labelled!.test(0, 200);
  const [expected] = await outputsOf(model, [feeds]);
  const result = { refitted: 0, plain: 0, size: 0 };
  for (const kind of ["refitted", "plain"] as const) {
    const one = await pruneChannels(model, groups, removals, {
      moments: kind === "refitted" ? moments : null,
      kernels,
    });
    const [actual] = await outputsOf(one, [feeds]);
    const fidelity = new FidelityAccumulator(Object.keys(expected!));
    fidelity.add(expected!, actual!);
    result[kind] = leastR2(fidelity.outputs())!;
    result.size = (await modelBytes(one)).length / (await modelBytes(model)).length;
  }
  return result;
}

describe("a quarter of what the channels take, the cheapest first", () => {
  test.skipIf(realModel("lenet-5").missing).each([
    { name: "lenet-300-100", size: 0.75, r2: 0.99 },
    { name: "resnet-mnist", size: 0.65, r2: 0.99 },
    { name: "gru-mnist", size: 0.65, r2: 0.98 },
    { name: "lstm-mnist", size: 0.7, r2: 0.95 },
    { name: "vit-mnist", size: 0.8, r2: 0.99 },
  ])(
    "$name: at most $size of the bytes, R² at least $r2 refitted, and less than a third of the loss without",
    {
      timeout: 60_000,
    },
    async ({ name, size, r2 }) => {
      const result = await pruned(name, 0.25);
      expect(result.size).toBeLessThanOrEqual(size);
      expect(result.refitted).toBeGreaterThanOrEqual(r2);
      expect(1 - result.refitted).toBeLessThan((1 - result.plain) / 3);
    },
  );
});

/** Layers of each model none of whose channels can go, at most, and groups at least. */
const STRUCTURE = {
  "salient-object": { left: 7, groups: 100 },
  "ocr-detector": { left: 1, groups: 36 },
  "line-detector": { left: 0, groups: 21 },
  "face-detector": { left: 4, groups: 1 },
  "super-resolution": { left: 1, groups: 16 },
  classifier: { left: 1, groups: 96 },
  "ocr-recogniser": { left: 6, groups: 25 },
  "lenet-5": { left: 1, groups: 3 },
};

describe("real models by weights alone: shapes shrink, the model stays valid and onnxruntime-web loads it", () => {
  test.each(Object.entries(STRUCTURE))("%s", { timeout: 60_000 }, async (name, { left, groups: least }) => {
    const real = realModels.find((one) => one.name === name)!;
    if (real.missing) return;
    const model = await simplified(name);
    const shapes = await inferShapes(model, { inputShapes: real.inputShapes });
    const found = findChannelGroups(model, shapes);
    expect(found.left.length).toBeLessThanOrEqual(left);
    expect(found.groups.length).toBeGreaterThanOrEqual(least);
    const removals = new Map(
      found.groups.map((group) => {
        const gone = new Set<number>();
        for (let unit = 1; unit < group.units; unit += 4) if (mayRemove(group, gone, unit)) gone.add(unit);
        return [group.id, [...gone]] as const;
      }),
    );
    const { kernels, moments } = { kernels: await nodeKernels(), moments: null };
    const smaller = await pruneChannels(model, found.groups, removals, { kernels, moments });
    const [before, after] = await Promise.all([
      inferShapes(model, { inputShapes: real.inputShapes }),
      inferShapes(smaller, { inputShapes: real.inputShapes }),
    ]);
    for (const { name: output } of model.graph.outputs) {
      expect(after.of(smaller.graph, output)?.dims).toEqual(before.of(model.graph, output)?.dims);
    }
    const parameters = (one: Model, of: typeof before) =>
      listLayers(one, of).reduce((sum, layer) => sum + layer.parameters, 0);
    expect(parameters(smaller, after)).toBeLessThan(0.8 * parameters(model, before));
    await (await (await nodeRuntime()).load(await modelBytes(smaller))).release();
  });
});
