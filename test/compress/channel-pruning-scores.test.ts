import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseRemovals } from "../../src/compress/channel-pruning/choose.ts";
import { type ChannelGroup, findChannelGroups } from "../../src/compress/channel-pruning/groups.ts";
import { pruneChannels } from "../../src/compress/channel-pruning/prune.ts";
import { refitColumns, spreadOf } from "../../src/compress/channel-pruning/refit.ts";
import { scoreUnits } from "../../src/compress/channel-pruning/score.ts";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { floats, floatTensor, graphOf, modelOf, node, value } from "./tiny.ts";

/** Moments of `count` vectors of n numbers that hang together. */
function momentsOf(n: number, count: number, seed: number): { moments: InputMoments; x: Float64Array } {
  const [raw, mix] = [floats([count, n], seed), floats([n, n], seed + 1)];
  const x = new Float64Array(count * n);
  for (let s = 0; s < count; s++) {
    for (let i = 0; i < n; i++) {
      let sum = 0.7;
      for (let j = 0; j < n; j++) sum += raw[s * n + j]! * mix[j * n + i]!;
      x[s * n + i] = sum;
    }
  }
  const gram = new Float32Array(n * n);
  const mean = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    for (let s = 0; s < count; s++) mean[i]! += x[s * n + i]! / count;
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let s = 0; s < count; s++) sum += x[s * n + i]! * x[s * n + j]!;
      gram[i * n + j] = sum / count;
    }
  }
  const diagonal = Float32Array.from({ length: n }, (_, i) => gram[i * n + i]!);
  return { moments: { n, count, gram, diagonal, mean }, x };
}

/** Mean of ‖W·x − Ŵ·x − shift‖² over the vectors. */
function errorOf(
  w: Float32Array,
  fitted: Float32Array,
  shift: Float64Array,
  x: Float64Array,
  n: number,
): number {
  const count = x.length / n;
  let sum = 0;
  for (let s = 0; s < count; s++) {
    for (let r = 0; r < shift.length; r++) {
      let difference = -shift[r]!;
      for (let c = 0; c < n; c++) difference += (w[r * n + c]! - fitted[r * n + c]!) * x[s * n + c]!;
      sum += difference ** 2;
    }
  }
  return sum / count;
}

describe("refitting the columns that stay", () => {
  test("no other columns and constant do better: every small change makes the error, damping counted, larger", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 0, max: 99 }), (n, seed) => {
        const { moments, x } = momentsOf(n, 40, seed);
        const w = floats([3, n], seed + 5);
        const removed = Uint8Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 1 : 0));
        const { w: fitted, shift } = refitColumns(w, 3, removed, moments, kernels, true);
        const damping = spreadOf(moments, true)!.damping;
        const loss = (one: Float32Array, constant: Float64Array) => {
          let change = 0;
          for (let i = 0; i < one.length; i++) if (!removed[i % n]) change += (one[i]! - w[i]!) ** 2;
          return errorOf(w, one, constant, x, n) + damping * change;
        };
        const best = loss(fitted, shift);
        for (let i = 0; i < fitted.length; i++) {
          if (removed[i % n]) {
            expect(fitted[i]).toBe(0);
            continue;
          }
          for (const step of [-1e-2, 1e-2]) {
            expect(loss(fitted.with(i, fitted[i]! + step), shift)).toBeGreaterThan(best);
          }
        }
        for (let r = 0; r < 3; r++) {
          for (const step of [-1e-2, 1e-2])
            expect(loss(fitted, shift.with(r, shift[r]! + step))).toBeGreaterThan(best);
        }
      }),
      { numRuns: 20, seed: 3 },
    );
  });

  test.each([
    ["a single sample", momentsOf(4, 1, 1).moments],
    ["inputs that are all zero", { ...momentsOf(4, 1, 1).moments, ...zeros(4) }],
    ["only the diagonal", { ...momentsOf(4, 9, 1).moments, gram: null }],
  ])("%s: finite, and the mean goes into the constant", (_, moments) => {
    const w = floats([2, 4], 8);
    const { w: fitted, shift } = refitColumns(w, 2, Uint8Array.of(0, 1, 1, 0), moments, kernels, true);
    expect([...fitted, ...shift].every(Number.isFinite)).toBe(true);
    for (let r = 0; r < 2; r++) {
      let lost = 0;
      for (let c = 0; c < 4; c++) lost += (w[r * 4 + c]! - fitted[r * 4 + c]!) * moments.mean[c]!;
      expect(shift[r]).toBeCloseTo(lost, 6);
    }
  });
});

function zeros(n: number) {
  return { gram: new Float32Array(n * n), diagonal: new Float32Array(n), mean: new Float32Array(n) };
}

async function perceptron() {
  const model = modelOf(
    graphOf({
      nodes: [node("Gemm", ["x", "w1"], ["a"]), node("Relu", ["a"], ["r"]), node("Gemm", ["r", "w2"], ["y"])],
      initializers: [
        floatTensor("w1", [3, 8], floats([3, 8], 2)),
        floatTensor("w2", [8, 4], floats([8, 4], 3)),
      ],
      inputs: [value("x", ["N", 3])],
      outputs: [value("y", ["N", 4])],
    }),
  );
  const shapes = await inferShapes(model);
  return { model, layers: listLayers(model, shapes), ...findChannelGroups(model, shapes) };
}

describe("scores", () => {
  test("the first unit to go costs what its removal and the refit lose, within 1e-4 of the layer's output", async () => {
    const { layers, groups } = await perceptron();
    const { moments, x } = momentsOf(8, 60, 4);
    const all = new Map([["y", [moments]]]);
    const w2 = floats([8, 4], 3);
    const w = Float32Array.from({ length: 32 }, (_, i) => w2[(i % 8) * 4 + Math.floor(i / 8)]!);
    let total = 0;
    for (let s = 0; s < 60; s++) {
      for (let r = 0; r < 4; r++) {
        let y = 0;
        for (let c = 0; c < 8; c++) y += w[r * 8 + c]! * x[s * 8 + c]!;
        total += y * y;
      }
    }
    total /= 60;
    const lost = Array.from({ length: 8 }, (_, unit) => {
      const removed = Uint8Array.from({ length: 8 }, (__, i) => (i === unit ? 1 : 0));
      const { w: fitted, shift } = refitColumns(w, 4, removed, moments, kernels, true);
      let change = 0;
      for (let i = 0; i < 32; i++) if (i % 8 !== unit) change += (fitted[i]! - w[i]!) ** 2;
      const damping = spreadOf(moments, true)!.damping;
      let own = 0;
      for (let r = 0; r < 4; r++) own += w[r * 8 + unit]! ** 2;
      return (errorOf(w, fitted, shift, x, 8) + damping * (change + own)) / total;
    });
    const oneByOne = (await scoreUnits(layers, groups, { moments: all, kernels, mostWork: 0 })).get("a")!;
    oneByOne.forEach((score, unit) => {
      expect(Math.abs(score - lost[unit]!)).toBeLessThan(1e-4);
    });
    const inTurn = (await scoreUnits(layers, groups, { moments: all, kernels })).get("a")!;
    expect(Math.min(...inTurn)).toBeCloseTo(Math.min(...lost), 4);
  });

  test("of two channels that are the same only one is cheap when they go in turn", async () => {
    const { layers, groups } = await perceptron();
    const { moments } = momentsOf(8, 60, 4);
    const gram = moments.gram!.slice();
    const mean = moments.mean.slice();
    // Channel 5 becomes channel 2.
    for (let i = 0; i < 8; i++) gram[5 * 8 + i] = gram[2 * 8 + i]!;
    for (let i = 0; i < 8; i++) gram[i * 8 + 5] = gram[i * 8 + 2]!;
    mean[5] = mean[2]!;
    const all = new Map([["y", [{ ...moments, gram, mean }]]]);
    const oneByOne = (await scoreUnits(layers, groups, { moments: all, kernels, mostWork: 0 })).get("a")!;
    const inTurn = (await scoreUnits(layers, groups, { moments: all, kernels })).get("a")!;
    const cheap = (scores: Float64Array) => [2, 5].filter((unit) => scores[unit]! < 0.02).length;
    expect([cheap(oneByOne), cheap(inTurn)]).toEqual([2, 1]);
  });

  test("without moments: by the weights, dead units first", async () => {
    const { model, groups } = await perceptron();
    const w1 = floats([3, 8], 2);
    for (const r of [0, 1, 2]) w1[r * 8 + 6] = 0;
    const [first, second] = model.graph.initializers;
    const dead = {
      ...model,
      graph: { ...model.graph, initializers: [floatTensor("w1", [3, 8], w1), second!] },
    };
    expect(first!.name).toBe("w1");
    const layers = listLayers(dead, await inferShapes(dead));
    const scores = (await scoreUnits(layers, groups, { moments: null, kernels })).get("a")!;
    expect(scores.indexOf(Math.min(...scores))).toBe(6);
    expect(scores[6]).toBe(0);
  });
});

describe("choosing and removing", () => {
  const group = (id: string, units: number, keep: number[][] = []): ChannelGroup => ({
    id,
    units,
    producers: [],
    consumers: [],
    cuts: [],
    counts: [],
    keep,
    values: [],
    bytesPerUnit: 10,
    macsPerUnit: 1,
  });

  test("the cheapest for what they save, never all, never less than a tenth, one of every set stays", () => {
    const groups = [
      group("a", 20),
      group("b", 4, [
        [0, 1],
        [2, 3],
      ]),
    ];
    const scores = new Map([
      ["a", Array.from({ length: 20 }, (_, i) => i)],
      ["b", [0, 0, 0, 0]],
    ]);
    const removals = chooseRemovals(groups, scores, 0.999, { save: "bytes" });
    expect(removals.get("a")).toHaveLength(18);
    expect(removals.get("b")).toEqual([0, 2]);
    expect(chooseRemovals(groups, scores, 0.2, { save: "bytes" }).get("a")).toEqual([0, 1, 2]);
    expect(chooseRemovals(groups, scores, 0, { save: "macs" }).size).toBe(0);
  });

  test("units that cost hardly more go along where that leaves a multiple of four", () => {
    const scores = new Map([["a", Array.from({ length: 20 }, (_, i) => (i < 4 ? 1 : 100))]]);
    expect(chooseRemovals([group("a", 20)], scores, 0.1, { save: "bytes" }).get("a")).toEqual([0, 1, 2, 3]);
  });

  test("units that are not there or cannot be spared are refused", async () => {
    const { model, groups } = await perceptron();
    const prune = (removals: [string, number[]][]) =>
      pruneChannels(model, groups, new Map(removals), { moments: null, kernels });
    await expect(prune([["b", [0]]])).rejects.toThrow("no channel group b");
    await expect(prune([["a", [8]]])).rejects.toThrow("channel group a has 8 units, not one of number 8");
    await expect(prune([["a", [0, 1, 2, 3, 4, 5, 6, 7]]])).rejects.toThrow(RangeError);
    expect(await prune([["a", []]])).toBe(model);
    expect(await prune([])).toBe(model);
  });
});
