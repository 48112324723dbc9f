import { expect } from "vitest";
import { type ChannelGroup, findChannelGroups } from "../../src/compress/channel-pruning/groups.ts";
import { pruneChannels } from "../../src/compress/channel-pruning/prune.ts";
import type { LayerMoments } from "../../src/compress/channel-pruning/score.ts";
import { collectMoments } from "../../src/evaluate/moments/collect.ts";
import { whole } from "../../src/evaluate/segments/execution.ts";
import type { Kernels } from "../../src/kernels/kernels.ts";
import { referenceKernels } from "../../src/kernels/reference/kernels.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import type { Model, Tensor } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readTensor, tensorOf } from "../../src/onnx/tensor.ts";
import { validateModel } from "../../src/onnx/validate.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";

/** Outputs of the model, each input run on its own. */
export async function outputsOf(model: Model, inputs: readonly Feeds[]): Promise<Feeds[]> {
  const session = await (await nodeRuntime()).load(await modelBytes(model));
  const outputs: Feeds[] = [];
  for (const feeds of inputs) outputs.push(await session.run(feeds));
  await session.release();
  return outputs;
}

/** Largest difference over the largest entry, over all outputs. */
export function relativeDifference(expected: readonly Feeds[], actual: readonly Feeds[]): number {
  let worst = 0;
  expected.forEach((outputs, run) => {
    for (const [name, { data, dims }] of Object.entries(outputs)) {
      const other = actual[run]![name]!;
      expect(other.dims).toEqual(dims);
      let [most, difference] = [1e-6, 0];
      (data as Float32Array).forEach((one, i) => {
        most = Math.max(most, Math.abs(one));
        difference = Math.max(difference, Math.abs(one - (other.data as Float32Array)[i]!));
      });
      worst = Math.max(worst, difference / most);
    }
  });
  return worst;
}

export async function momentsOf(
  model: Model,
  feeds: readonly Feeds[],
  kernels: Kernels = referenceKernels,
): Promise<LayerMoments> {
  const moments = new Map<string, NonNullable<Awaited<ReturnType<LayerMoments["get"]>>>>();
  for await (const { layer, matrices } of collectMoments({
    execution: whole(await nodeRuntime()),
    model,
    feeds,
    kernels,
  })) {
    if (matrices) moments.set(layer, matrices);
  }
  return moments;
}

/** Every third unit, from the first that may go. */
export function everyThird(group: ChannelGroup): number[] {
  const units = Array.from({ length: group.units }, (_, unit) => unit).filter((unit) => unit % 3 === 1);
  return units.length > 0 ? units : [0];
}

/**
 * The model with these units giving nothing but a constant: what makes them is zero, and with "zero" all vectors that
 * go along with them as well, so that the constant is that of the activations at zero.
 */
export async function withDeadUnits(
  model: Model,
  groups: readonly ChannelGroup[],
  removals: ReadonlyMap<string, readonly number[]>,
  kind: "constant" | "zero",
): Promise<Model> {
  const zeros = new Map<string, { axis: number; at: Set<number> }[]>();
  const layers = new Map(listLayers(model, await inferShapes(model)).map((layer) => [layer.name, layer]));
  for (const group of groups) {
    const gone = new Set(removals.get(group.id) ?? []);
    const made = new Set(
      group.producers.map(({ layer, axis }) => `${layers.get(layer)!.weight.name} ${axis}`),
    );
    const summed = new Set(
      group.consumers.map(({ layer, axis }) => `${layers.get(layer)!.weight.name} ${axis}`),
    );
    for (const { tensor, axis, units } of group.cuts) {
      const key = `${tensor} ${axis}`;
      if (kind === "constant" ? !made.has(key) : summed.has(key) && !made.has(key)) continue;
      const at = new Set(units.flatMap((unit, i) => (gone.has(unit) ? [i] : [])));
      zeros.set(tensor, [...(zeros.get(tensor) ?? []), { axis, at }]);
    }
  }
  const change = async (tensor: Tensor): Promise<Tensor> => {
    const places = zeros.get(tensor.name);
    if (!places) return tensor;
    const value = await readTensor(tensor);
    const data = (value.data as Float32Array).slice();
    for (const { axis, at } of places) {
      const inner = tensor.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
      for (let i = 0; i < data.length; i++) {
        if (at.has(Math.floor(i / inner) % tensor.dims[axis]!)) data[i] = 0;
      }
    }
    return tensorOf(tensor.name, { ...value, data });
  };
  const initializers = await Promise.all(model.graph.initializers.map(change));
  return { ...model, graph: { ...model.graph, initializers } };
}

/**
 * Makes a third of the units of every group dead, removes them, runs both models in onnxruntime-web and compares:
 * every tensor that held the units is smaller, and the outputs are equal within 1e-5 of the largest entry.
 */
export async function deadUnitsGo(
  model: Model,
  feeds: readonly Feeds[],
  kind: "constant" | "zero" = "constant",
): Promise<{ groups: readonly ChannelGroup[]; pruned: Model }> {
  const { groups } = findChannelGroups(model, await inferShapes(model));
  const removals = new Map(groups.map((group) => [group.id, everyThird(group)]));
  const dead = await withDeadUnits(model, groups, removals, kind);
  const pruned = await pruneChannels(dead, JSON.parse(JSON.stringify(groups)), removals, {
    moments: await momentsOf(dead, feeds),
    kernels: referenceKernels,
  });
  const reread = await readModel(bytesSource(await modelBytes(pruned)));
  validateModel(reread);
  const sizes = new Map(model.graph.initializers.map(({ name, dims }) => [name, dims]));
  const cut = new Map<string, number>();
  for (const { tensor, axis } of groups.flatMap(({ cuts }) => cuts)) cut.set(tensor, axis);
  for (const { name, dims } of reread.graph.initializers) {
    const axis = cut.get(name);
    if (axis !== undefined) expect(dims[axis]!, name).toBeLessThan(sizes.get(name)![axis]!);
  }
  const difference = relativeDifference(await outputsOf(dead, feeds), await outputsOf(reread, feeds));
  expect(difference).toBeLessThanOrEqual(1e-5);
  return { groups, pruned: reread };
}
