import { describe, expect, test } from "vitest";
import { collectMoments, type LayerMoments } from "../../../src/evaluate/moments/collect.ts";
import { atMost } from "../../../src/evaluate/segments/execution.ts";
import { referenceKernels } from "../../../src/kernels/reference/kernels.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Model } from "../../../src/onnx/model.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { realModel } from "../../models/registry.ts";
import { answersOf, bitsOf, MemoryScratch, opened } from "./answers.ts";

/** Memory as a share of what the file takes whole (4 bytes each), and the segments that this makes at least. */
const MODELS: readonly (readonly [name: string, share: number, segments: number])[] = [
  ["lenet-300-100", 0.4, 2],
  ["lenet-5", 0.4, 3],
  ["resnet-mnist", 0.4, 4],
  ["gru-mnist", 0.4, 3],
  ["lstm-mnist", 0.4, 4],
  ["vit-mnist", 0.3, 5],
  ["vit-mnist-op17", 0.3, 5],
  ["gcn-mnist", 0.4, 12],
  ["keyword-head", 0.4, 3],
  ["voice-activity", 0.4, 3],
  ["ocr-recogniser", 0.3, 4],
];

/** Limits that sample little, so that every bit of what is sampled counts. */
const LIMITS = { fewestVectors: 40, vectorsPerFeature: 0 };

async function momentsOf(model: Model, feeds: readonly Feeds[], memory: number): Promise<LayerMoments[]> {
  const execution = { runtime: await nodeRuntime(), memory: atMost(memory), scratch: null };
  const found: LayerMoments[] = [];
  for await (const one of collectMoments({
    model,
    feeds,
    execution,
    kernels: referenceKernels,
    limits: LIMITS,
  })) {
    found.push(one);
  }
  return found.toSorted((a, b) => (a.layer < b.layer ? -1 : 1));
}

describe.each(MODELS)("%s in segments", (name, share, least) => {
  const real = realModel(name);

  test.skipIf(real.missing !== null)("gives the outputs of the whole model, to the bit", async () => {
    const { model, bytes } = await opened(real);
    const feeds = await real.samples(3);
    const whole = await answersOf(model, feeds, Number.POSITIVE_INFINITY);
    const scratch = new MemoryScratch();
    const parts = await answersOf(model, feeds, 4 * bytes * share, scratch);
    expect(parts.segments).toBeGreaterThanOrEqual(least);
    expect(bitsOf(parts.answers)).toBe(bitsOf(whole.answers));
    expect(scratch.held.size).toBe(0);
  });

  test.skipIf(real.missing !== null)("gives the Gram matrices of the whole model, to the bit", async () => {
    const { model, bytes } = await opened(real);
    const feeds = await real.samples(2);
    const whole = await momentsOf(model, feeds, Number.POSITIVE_INFINITY);
    expect(bitsOf(await momentsOf(model, feeds, 4 * bytes * share))).toBe(bitsOf(whole));
    expect(whole.some(({ matrices }) => matrices !== null)).toBe(true);
  });
});

/** What the Worker gives a running model. */
const WORKER = 64 * 2 ** 20;

test.each([
  ["classifier", 7],
  ["salient-object", 20],
])(
  "%s, too large for the Worker, gives its outputs in %i segments or more, to the bit",
  async (name, least) => {
    const real = realModel(name);
    const { model } = await opened(real);
    const feeds = await real.samples(1);
    const whole = await answersOf(model, feeds, Number.POSITIVE_INFINITY);
    const parts = await answersOf(model, feeds, WORKER);
    expect(parts.segments).toBeGreaterThanOrEqual(least);
    expect(bitsOf(parts.answers)).toBe(bitsOf(whole.answers));
  },
  120_000,
);

/** Memory so small that pairs which the runtime computes together have to be parted. */
test.each(["resnet-mnist", "vit-mnist", "face-detector"])(
  "%s in a segment for nearly every node differs by rounding, 1e-5 of the largest output at most",
  async (name) => {
    const real = realModel(name);
    if (real.missing !== null) return;
    const { model } = await opened(real);
    const feeds = await real.samples(1);
    const [whole, parts] = [await answersOf(model, feeds, 2 ** 40), await answersOf(model, feeds, 2 ** 16)];
    expect(parts.parted).toBeGreaterThan(0);
    for (const [output, { data, dataType }] of Object.entries(whole.answers[0]!)) {
      if (dataType !== DataType.FLOAT) continue;
      const [x, y] = [data as Float32Array, parts.answers[0]![output]!.data as Float32Array];
      const largest = x.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
      const apart = x.reduce((most, one, i) => Math.max(most, Math.abs(one - y[i]!)), 0);
      expect(apart / largest).toBeLessThan(1e-5);
    }
  },
);
