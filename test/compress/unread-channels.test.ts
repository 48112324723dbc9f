import { describe, expect, test } from "vitest";
import { withoutUnread } from "../../src/compress/channel-pruning/unread.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { compressed } from "../jobs/compressed.ts";
import { outputsOf, relativeDifference } from "./channel-pruning-check.ts";
import { conv } from "./channel-pruning-tiny.ts";
import { floats, floatTensor, graphOf, ints, modelOf, node, value } from "./tiny.ts";

/** Three convolutions; entries of their weights are zero where `zero` says so of output and input channel. */
function chain(zero: (layer: number, output: number, input: number) => boolean): Model {
  const shapes = [
    [8, 3, 3, 3],
    [6, 8, 3, 3],
    [5, 6, 1, 1],
  ] as const;
  const weights = shapes.map((dims, layer) => {
    const [, inputs, height, width] = dims;
    const taps = height * width;
    const values = floats([...dims], layer + 1).map((one, i) =>
      zero(layer, Math.floor(i / (inputs * taps)), Math.floor(i / taps) % inputs) ? 0 : one,
    );
    return floatTensor(`w${layer}`, [...dims], values);
  });
  return modelOf(
    graphOf({
      nodes: [
        conv("x", "w0", "a", { pads: ints(1, 1, 1, 1) }, "b0"),
        node("Sigmoid", ["a"], ["s"]),
        conv("s", "w1", "c", { pads: ints(1, 1, 1, 1) }),
        node("Relu", ["c"], ["r"]),
        conv("r", "w2", "y"),
      ],
      initializers: [...weights, floatTensor("b0", [8], floats([8], 9))],
      inputs: [value("x", [1, 3, 9, 9])],
      outputs: [value("y", [1, 5, 9, 9])],
    }),
    13,
  );
}

const inputs = [1, 2].map((seed) => ({
  x: { dataType: 1, dims: [1, 3, 9, 9], data: floats([1, 3, 9, 9], seed) },
}));

async function dimsOf(model: Model): Promise<Record<string, readonly number[]>> {
  const weights = model.graph.initializers.filter(({ name }) => name.startsWith("w"));
  return Object.fromEntries(
    await Promise.all(weights.map(async (one) => [one.name, (await readTensor(one)).dims])),
  );
}

/** The last convolution reads its input 2 no more, and only what makes that reads channel 5 of the first. */
const unreadInTurn = (layer: number, output: number, input: number) =>
  (layer === 2 && input === 2) || (layer === 1 && input === 5 && output !== 2);

describe("channels that nobody reads", () => {
  test("go with what makes them, and with what only that reads; outputs within 1e-6 of the original's", async () => {
    const model = chain(unreadInTurn);
    const shrunk = await withoutUnread(model, () => true, kernels);
    expect(await dimsOf(shrunk)).toEqual({ w0: [7, 3, 3, 3], w1: [5, 7, 3, 3], w2: [5, 5, 1, 1] });
    const difference = relativeDifference(await outputsOf(model, inputs), await outputsOf(shrunk, inputs));
    expect(difference).toBeLessThan(1e-6);
  });

  test("one weight other than zero keeps a channel, and a closed group keeps all", async () => {
    const nearly = chain(
      (layer, output, input) => unreadInTurn(layer, output, input) && !(layer === 2 && output === 4),
    );
    expect(await withoutUnread(nearly, () => true, kernels)).toBe(nearly);
    const model = chain(unreadInTurn);
    expect(await withoutUnread(model, () => false, kernels)).toBe(model);
  });

  test("where nothing is read at all, one channel stays", async () => {
    const model = chain((layer) => layer === 2);
    const shrunk = await withoutUnread(model, () => true, kernels);
    expect((await dimsOf(shrunk)).w2).toEqual([5, 1, 1, 1]);
    const difference = relativeDifference(await outputsOf(model, inputs), await outputsOf(shrunk, inputs));
    expect(difference).toBe(0);
  });

  test("a recipe that leaves the methods open removes them without samples, too", async () => {
    const { artifact, report } = await compressed(await modelBytes(chain(unreadInTurn)), {
      methods: ["channel_pruning"],
    });
    const model = await readModel(bytesSource(artifact));
    const sizes = (await Promise.all(model.graph.initializers.map(readTensor))).map(({ dims }) => dims);
    expect(sizes).toContainEqual([5, 7, 3, 3]);
    expect(report.fidelity!.min_r2!).toBeGreaterThan(1 - 1e-9);
  });
});
