import { describe, expect, test } from "vitest";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import type { LayerMoments } from "../../src/evaluate/moments/collect.ts";
import { exposeValues } from "../../src/evaluate/moments/expose.ts";
import { ConstantHolders } from "../../src/onnx/constant-holders.ts";
import { type Layer, listLayers } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import type { TensorValue } from "../../src/onnx/tensor-value.ts";
import { inOrder } from "../../src/onnx/validate.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { realModel } from "../models/registry.ts";
import { ALL, expectedEnergy, momentsOf, numbersOf, outputsOf } from "./moments-check.ts";

async function open(name: string): Promise<Model> {
  return inOrder(await readModel(bytesSource(await realModel(name).bytes())));
}

/** Gemm and Conv with the vector that they add along axis 1 or the last. */
const BIASED = new Set(["Conv", "Gemm"]);

/** Energy of a layer's real output without its bias, over all feeds, and vectors that its matrix met. */
async function realEnergies(model: Model, layers: readonly Layer[], feeds: readonly Feeds[]) {
  const holders = new ConstantHolders(model.graph);
  const values = layers.map(({ uses }) => ({ path: uses[0]!.path, name: uses[0]!.node.outputs[0]! }));
  const exposed = exposeValues(model, values);
  const answers = await outputsOf(exposed.model, feeds);
  return Promise.all(
    layers.map(async ({ uses: [use], dims }, i) => {
      const { node, graph } = use!;
      const held = BIASED.has(node.opType) ? holders.find(graph, node.inputs[2] ?? "") : undefined;
      const tensor = held?.holder.tensor;
      const bias = tensor && !("values" in tensor) ? numbersOf(await readTensor(tensor)) : undefined;
      let [energy, vectors] = [0, 0];
      for (const answer of answers) {
        const y = answer[exposed.outputs[i]!]!;
        const data = y.data as Float32Array;
        const channels = node.opType === "Conv" ? dims[0]! : y.dims.at(-1)!;
        const pitch = node.opType === "Conv" ? y.dims.slice(2).reduce((a, b) => a * b, 1) : 1;
        for (let at = 0; at < data.length; at++) {
          energy += (data[at]! - (bias ? bias[Math.floor(at / pitch) % bias.length]! : 0)) ** 2;
        }
        vectors += data.length / channels;
      }
      return { energy, vectors };
    }),
  );
}

/** No value that a method could stumble over: finite, a diagonal that is G's, means that fit it (Jensen). */
function expectSound(moments: InputMoments): void {
  const { n, count, gram, diagonal, mean } = moments;
  expect(count).toBeGreaterThan(0);
  const isSound = (i: number) =>
    Number.isFinite(diagonal[i]!) &&
    mean[i]! ** 2 <= diagonal[i]! * (1 + 1e-5) + 1e-30 &&
    (gram === null || Math.abs(gram[i * n + i]! - diagonal[i]!) <= 1e-5 * diagonal[i]!);
  expect(Array.from({ length: n }, (_, i) => i).filter((i) => !isSound(i))).toEqual([]);
  for (let i = 0; gram !== null && i < n; i++) {
    for (let j = 0; j < i; j++) {
      if (!(Math.abs(gram[i * n + j]!) < Number.POSITIVE_INFINITY && gram[i * n + j] === gram[j * n + i])) {
        throw new Error(`G[${i}, ${j}] is ${gram[i * n + j]}, G[${j}, ${i}] is ${gram[j * n + i]}`);
      }
    }
  }
}

function seen(found: ReadonlyMap<string, LayerMoments>): string[] {
  return [...found.values()].filter(({ matrices }) => matrices !== null).map(({ layer }) => layer);
}

async function compare(
  model: Model,
  feeds: readonly Feeds[],
  found: ReadonlyMap<string, LayerMoments>,
): Promise<{ layer: string; ratio: number; isWhole: boolean }[]> {
  const layers = listLayers(model, await inferShapes(model)).filter(
    ({ name, op }) => found.get(name)?.matrices?.[0]?.gram && ["Conv", "MatMul", "Gemm"].includes(op),
  );
  const real = await realEnergies(model, layers, feeds);
  return Promise.all(
    layers.map(async ({ name }, i) => {
      const moments = found.get(name)!;
      const count = moments.matrices![0]!.count;
      const { energy, vectors } = real[i]!;
      const ratio = ((await expectedEnergy(model, moments)) / count) * (vectors / energy);
      return { layer: name, ratio, isWhole: count === vectors };
    }),
  );
}

describe("real models", () => {
  test("voice-activity: layers in the branch that the rate takes, energies to 1e-3; none in the other", async () => {
    const model = await open("voice-activity");
    const feeds = await realModel("voice-activity").samples(4);
    const found = await momentsOf(model, feeds);
    const convolutions = [...found.keys()].filter((layer) => layer.endsWith("Conv"));
    const taken = convolutions.filter((layer) => found.get(layer)!.matrices !== null);
    expect(taken.length).toBe(convolutions.length / 2);
    for (const layer of convolutions) {
      if (!taken.includes(layer)) expect(found.get(layer)!.reason).toBe("the samples never reach it");
    }
    const compared = await compare(model, feeds, found);
    expect(compared.map(({ layer }) => layer)).toEqual(taken);
    for (const { ratio, isWhole } of compared) {
      expect(isWhole).toBe(true);
      expect(Math.abs(ratio - 1)).toBeLessThan(1e-3);
    }
  });

  test("voice-activity at both rates: every convolution, from the runs at its own rate alone, energies to 1e-3", async () => {
    const model = await open("voice-activity");
    const [wide, other] = (await realModel("voice-activity").samples(2)) as [Feeds, Feeds];
    const narrow: Feeds = {
      ...other,
      input: { ...other.input!, dims: [1, 288], data: (other.input!.data as Float32Array).slice(0, 288) },
      sr: { ...other.sr!, data: BigInt64Array.of(8000n) },
    };
    const found = await momentsOf(model, [wide, narrow]);
    const compared = await compare(model, [wide, narrow], found);
    const convolutions = [...found.keys()].filter((layer) => layer.endsWith("Conv"));
    expect(compared.map(({ layer }) => layer)).toEqual(convolutions);
    for (const { ratio, isWhole } of compared) {
      expect(isWhole).toBe(true);
      expect(Math.abs(ratio - 1)).toBeLessThan(1e-3);
    }
  });

  test("ocr-recogniser: every layer, energies to 1e-3 where all vectors were counted, else to 20%", async () => {
    const model = await open("ocr-recogniser");
    const feeds = await realModel("ocr-recogniser").samples(1);
    const found = await momentsOf(model, feeds, { limits: { vectorsPerFeature: 2, fewestVectors: 512 } });
    expect(seen(found).length).toBe(found.size);
    for (const { matrices } of found.values()) for (const one of matrices!) if (one) expectSound(one);
    const compared = await compare(model, feeds, found);
    // One convolution has 2880 features, of which only the diagonal is kept.
    expect(compared.length).toBe(found.size - 1);
    expect(compared.filter(({ isWhole }) => isWhole).length).toBeGreaterThan(10);
    for (const { ratio, isWhole } of compared) {
      expect(Math.abs(ratio - 1)).toBeLessThan(isWhole ? 1e-3 : 0.2);
    }
  });

  for (const name of ["gru-mnist", "lstm-mnist"]) {
    const real = realModel(name);
    test.skipIf(real.missing)(
      `${name}: W sees the rows of the digits, R the states; every layer ${real.missing ?? ""}`,
      async () => {
        const model = await open(name);
        const feeds = await real.samples(3);
        const found = await momentsOf(model, feeds, { limits: ALL });
        expect(seen(found).length).toBe(found.size);
        for (const { matrices } of found.values()) for (const one of matrices!) expectSound(one!);
        const w = [...found.values()].find(({ layer }) => layer.endsWith(".W"))!.matrices!;
        const pixels = feeds.flatMap(({ input }) => [
          ...(input as TensorValue & { data: Float32Array }).data,
        ]);
        expect(w[0]).toMatchObject({ n: 28, count: 3 * 28 });
        const total = pixels.reduce((sum, pixel) => sum + pixel ** 2, 0);
        expect(w[0]!.diagonal.reduce((sum, one) => sum + one, 0) * 84).toBeCloseTo(total, 2);
        // States of gates between −1 and 1.
        const r = [...found.values()].find(({ layer }) => layer.endsWith(".R"))!.matrices!;
        for (const one of r) expect(Math.max(...one!.diagonal)).toBeLessThanOrEqual(1);
      },
    );
  }
});
