import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { centred, type InputMoments } from "../../src/compress/input-moments.ts";
import { toMatrices } from "../../src/compress/layer-matrix.ts";
import type { LayerTreater, TreatedLayer } from "../../src/compress/layer-treater.ts";
import { compactNames } from "../../src/compress/lossless/compact-names.ts";
import { encodeResult } from "../../src/compress/result-file.ts";
import { type Treatment, UNTOUCHED } from "../../src/compress/treatment.ts";
import { countNonzero } from "../../src/compress/weight.ts";
import type { Kernels } from "../../src/kernels/kernels.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { inspectModel } from "../../src/onnx/inspect.ts";
import type { Layer } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { correlatedMoments, momentsOf } from "./forms-layer.ts";
import {
  assembled,
  feedsOf,
  gather,
  integers,
  KINDS,
  type Kind,
  kindOf,
  layersOf,
  lstm,
  type MomentsOf,
  modelWith,
  OPSET,
  treaterOf,
  treatmentsOf,
  withEffective,
  zeros,
} from "./one-layer.ts";
import { type Feed, floats, int, largestRelative, runBoth, runWeb } from "./tiny.ts";

let kernels: Kernels;
beforeAll(async () => {
  kernels = await nodeKernels();
});

interface Prepared {
  readonly model: Model;
  readonly layer: Layer;
  readonly treater: LayerTreater;
}

async function prepared(
  kind: Kind,
  options: Parameters<typeof modelWith>[1] = {},
  moments: MomentsOf | null = correlatedMoments,
): Promise<Prepared> {
  const model = await modelWith(kind, options);
  const layer = (await layersOf(model)).find(({ op }) => op === kind.node.opType)!;
  return { model, layer, treater: await treaterOf(layer, kernels, moments, options.opset ?? OPSET) };
}

interface Comparison {
  readonly feeds: Readonly<Record<string, Feed>>;
  readonly bound?: number;
  readonly opset?: number;
  /** In onnxruntime-node besides onnxruntime-web. */
  readonly both?: boolean;
}

/** The assembled model and the one with the dense weight that the treatment stands for, really run. */
async function compared(
  { model, layer }: Prepared,
  treated: TreatedLayer,
  { feeds, bound = 1e-5, opset = OPSET, both = false }: Comparison,
): Promise<Model> {
  const edited = assembled(model, layer, treated, opset);
  const reference = withEffective(model, layer, treated);
  const which = JSON.stringify(treated.candidate.treatment);
  if (both) {
    const [expected, found] = [await runBoth(reference, feeds), await runBoth(edited, feeds)];
    expect(largestRelative(expected.web, found.web), which).toBeLessThan(bound);
    expect(largestRelative(expected.node, found.node), which).toBeLessThan(bound);
  } else {
    expect(largestRelative(await runWeb(reference, feeds), await runWeb(edited, feeds)), which).toBeLessThan(
      bound,
    );
  }
  return edited;
}

/** tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ) over all matrices, entry by entry in double precision. */
function slowError({ layer, treater }: Prepared, treated: TreatedLayer, moments: MomentsOf | null): number {
  const { layout } = treater.facts;
  const { count, rows, columns } = layout!;
  const [before, after] = [treater.treat(UNTOUCHED).effective, treated.effective].map((values) =>
    toMatrices(layout!, values),
  );
  const embedding = layer.uses[0]!.geometry.kind === "embedding";
  let [lost, total] = [0, 0];
  for (let index = 0; index < count; index++) {
    const seen = embedding || moments === null ? null : moments(columns, index);
    const g = (i: number, j: number) => {
      if (seen === null) return i === j ? 1 : 0;
      const second = seen.gram ? seen.gram[i * columns + j]! : i === j ? seen.diagonal[i]! : 0;
      const taken = treated.bias !== null && (seen.gram !== null || i === j);
      return second - (taken ? seen.mean[i]! * seen.mean[j]! : 0);
    };
    for (let r = 0; r < rows; r++) {
      const at = (index * rows + r) * columns;
      for (let i = 0; i < columns; i++) {
        const [wi, di] = [before![at + i]!, after![at + i]! - before![at + i]!];
        for (let j = 0; j < columns; j++) {
          const entry = g(i, j);
          total += wi * entry * before![at + j]!;
          lost += di * entry * (after![at + j]! - before![at + j]!);
        }
      }
    }
  }
  return total > 0 ? lost / total : lost > 0 ? 1 : 0;
}

/** With the short names that an artifact gets. */
const sizeOf = async (model: Model) => (await modelBytes(compactNames(model))).length;

/** Tensors of the layer's weights in the model, by their elements: what is stored, decoded. */
function storedNumbers({ result }: TreatedLayer): number {
  return result.weights
    .filter(({ role }) => role !== "bias")
    .reduce((sum, { stored }) => sum + elementCount(stored.decode.dims), 0);
}

describe("every treatment computes to 1e-5 what its dense weight computes, and tells the truth", () => {
  for (const kind of KINDS) {
    test(kind.name, async () => {
      const one = await prepared(kind);
      const { model, layer, treater } = one;
      const before = { bytes: await sizeOf(model), macs: (await inspectModel(model)).macs };
      for (const [i, treatment] of treatmentsOf(treater.target).entries()) {
        const which = JSON.stringify(treatment);
        const treated = treater.treat(treatment);
        const { candidate, result, effective } = treated;
        const { stats } = result;
        const edited = await compared(one, treated, { feeds: feedsOf(kind), both: i % 4 === 0 });

        const grown = (await sizeOf(edited)) - before.bytes;
        expect(candidate.bytes).toBe(stats.bytes.compressed);
        expect(Math.abs(candidate.bytes - layer.bytes - grown), which).toBeLessThanOrEqual(
          0.1 * candidate.bytes + 150,
        );
        expect((await inspectModel(edited)).macs! - before.macs!, which).toBe(
          stats.macs.compressed! - stats.macs.original!,
        );
        expect(stats.parameters).toEqual({
          original: elementCount(kind.weight),
          compressed: storedNumbers(treated),
        });
        expect(stats.nonzero.original).toBe(elementCount(kind.weight));
        if (treatment.form === null) expect(stats.nonzero.compressed).toBe(countNonzero(effective));
        expect(stats.nonzero.compressed, which).toBeLessThanOrEqual(stats.parameters.compressed);

        const error = slowError(one, treated, correlatedMoments);
        expect(Math.abs(stats.layerError - error), which).toBeLessThanOrEqual(1e-4 * error + 1e-8);
        expect(candidate.error).toBe(stats.layerError);
        const values = treater.treat(UNTOUCHED).effective;
        const square = (list: ArrayLike<number>) => Array.from(list).reduce((sum, x) => sum + x * x, 0);
        const difference = Array.from(effective, (w, i) => w - values[i]!);
        expect(Math.abs(stats.weightError - square(difference) / square(values))).toBeLessThan(1e-9);
      }
    });
  }
});

describe("zeros", () => {
  for (const kind of KINDS) {
    test(`of ${kind.name} are as many as asked for, in the stored weight too`, async () => {
      const { treater } = await prepared(kind);
      const count = elementCount(kind.weight);
      const { layout } = treater.facts;
      for (const storage of [null, integers(255), { kind: "half" } as const]) {
        const at = (ratio: number) =>
          treater.treat({ form: null, sparsity: zeros("unstructured", ratio), storage });
        // Each matrix has its own share, rounded.
        for (const ratio of [0.25, 0.8]) {
          const { stats } = at(ratio).result;
          const wanted = layout!.count * Math.round(ratio * (count / layout!.count));
          if (storage?.kind !== "integers") expect(count - stats.nonzero.compressed).toBe(wanted);
          else expect(count - stats.nonzero.compressed).toBeGreaterThanOrEqual(wanted);
        }
      }
    });
  }

  test("2:4 holds along the input channels of a Conv, at each kernel position", async () => {
    const kind = KINDS[0]!;
    const { treater } = await prepared(kind);
    for (const storage of [null, integers(15), integers(255, null, "dequantize_linear")]) {
      const { effective } = treater.treat({ form: null, sparsity: zeros("2:4", null), storage });
      for (let o = 0; o < 8; o++) {
        for (let at = 0; at < 9; at++) {
          const line = Array.from({ length: 6 }, (_, c) => effective[(o * 6 + c) * 9 + at]!);
          expect(line.slice(0, 4).filter((w) => w !== 0).length).toBeLessThanOrEqual(2);
          expect(line.slice(4).filter((w) => w !== 0).length).toBeLessThanOrEqual(2);
        }
      }
    }
  });

  test("DequantizeLinear says every layer at opset 21; what it cannot say at 14 is remarked", async () => {
    const folds: string[] = [];
    for (const kind of KINDS) {
      const feeds = feedsOf(kind);
      for (const [levels, group] of [
        [255, null],
        [15, 4],
      ] as const) {
        const storage = integers(levels, group, "dequantize_linear");
        const treatment = { form: null, sparsity: null, storage };
        for (const opset of [21, 14]) {
          const one = await prepared(kind, { opset });
          const treated = one.treater.treat(treatment);
          const { placement, elements } = treated.result.weights[0]!.stored.decode;
          const remarks = treated.result.remarks.join("; ");
          const label = `${kind.name} ${levels} ${opset}: ${remarks}`;
          expect(elements.kind === "integers" && elements.dataType === DataType.INT4, label).toBe(
            levels === 15 && opset === 21,
          );
          if (opset === 21) expect(placement.kind, label).toBe("dequantize");
          if (placement.kind !== "dequantize") {
            expect(remarks).toMatch(
              /nodes that fold .* needs opset 21 for its scales and the model has opset 14/,
            );
            folds.push(`${kind.name} ${levels}`);
          } else {
            expect(remarks.includes("int4 is stored as int8"), label).toBe(levels === 15 && opset === 14);
          }
          await compared(one, treated, { feeds, opset, both: true });
        }
      }
    }
    expect(folds).toContain("W of a bidirectional LSTM 255");
    expect(folds).toContain("a Gemm 15");
    expect(folds).not.toContain("a grouped Conv 255");
  });

  test("more of them, fewer levels and lower ranks lose more", async () => {
    const { treater } = await prepared(KINDS[0]!);
    const errors = (treatments: Treatment[]) => treatments.map((one) => treater.treat(one).candidate.error);
    const none = { form: null, sparsity: null, storage: null };
    const lists = [
      errors([0.2, 0.5, 0.8, 0.95].map((ratio) => ({ ...none, sparsity: zeros("unstructured", ratio) }))),
      errors([255, 63, 15, 5].map((levels) => ({ ...none, storage: integers(levels) }))),
      errors([6, 4, 2, 1].map((rank) => ({ ...none, form: { kind: "low_rank", rank } }))),
      errors(
        [7, 5, 3, 1].map((bases) => ({
          ...none,
          form: { kind: "kernel_sharing", order: "basis_first", bases },
        })),
      ),
    ];
    for (const list of lists) {
      list.forEach((error, i) => {
        if (i > 0) expect(error).toBeGreaterThan(list[i - 1]!);
      });
    }
  });
});

test("the same treatment gives the same bytes, whatever was treated before", async () => {
  for (const kind of [KINDS[0]!, KINDS[6]!, lstm(1, 8, 16)]) {
    const [first, second] = [await prepared(kind), await prepared(kind)];
    const treatments = treatmentsOf(first.treater.target);
    const bytes = new Map<string, Uint8Array>();
    for (const treatment of treatments) {
      bytes.set(JSON.stringify(treatment), await encodeResult(first.treater.treat(treatment).result));
    }
    for (const treatment of treatments.toReversed()) {
      const key = JSON.stringify(treatment);
      expect(await encodeResult(second.treater.treat(treatment).result), key).toEqual(bytes.get(key));
    }
  }
});

describe("weights as models hold them", () => {
  const held = [KINDS[0]!, KINDS[3]!, KINDS[6]!, KINDS[7]!, lstm(1, 8, 16), gather("a Gather", [40, 16], 0)];
  for (const kind of held) {
    for (const options of [
      { holder: "constant" },
      { holder: "initializer", inIf: true },
      { holder: "constant", inIf: true },
    ] as const) {
      const where = `${options.holder}${"inIf" in options ? " inside an If" : ""}`;
      test(`${kind.name}, ${where}, to 1e-5 in both runtimes`, async () => {
        const one = await prepared(kind, options);
        const feeds = feedsOf(kind, "inIf" in options);
        const few = treatmentsOf(one.treater.target).filter((_, i) => i % 5 === 0);
        for (const treatment of few) {
          await compared(one, one.treater.treat(treatment), { feeds, both: true });
        }
      });
    }
  }

  test("both branches of an If are layers of their own", async () => {
    const model = await modelWith(KINDS[6]!, { inIf: true });
    expect((await layersOf(model)).map(({ name }) => name)).toEqual(["y", "y#2"]);
  });

  test("float16, run in float16, to 2e-3", async () => {
    for (const kind of [
      kindOf("a MatMul", "MatMul", { weight: [24, 12], input: [2, 5, 24] }),
      kindOf("a Conv", "Conv", { weight: [8, 6, 3, 3], input: [1, 6, 7, 7] }),
    ]) {
      const one = await prepared(kind, { dataType: DataType.FLOAT16, cast: true });
      expect(one.layer.bytes).toBe(2 * elementCount(kind.weight));
      for (const treatment of treatmentsOf(one.treater.target).filter((_, i) => i % 2 === 0)) {
        const treated = one.treater.treat(treatment);
        await compared(one, treated, { feeds: feedsOf(kind), bound: 2e-3 });
        const error = slowError(one, treated, correlatedMoments);
        expect(Math.abs(treated.candidate.error - error)).toBeLessThanOrEqual(1e-4 * error + 1e-8);
      }
    }
  });

  test("a model of opset 9 takes what its opset can say", async () => {
    const kind = KINDS[7]!;
    const one = await prepared(kind, { opset: 9 });
    for (const treatment of treatmentsOf(one.treater.target)) {
      await compared(one, one.treater.treat(treatment), { feeds: feedsOf(kind), opset: 9 });
    }
  });

  test("a weight that two nodes use keeps its nodes", async () => {
    const kind = KINDS[7]!;
    const base = await modelWith(kind);
    const again = { ...kind.node, name: "z", outputs: ["z"] };
    const model = {
      ...base,
      graph: {
        ...base.graph,
        nodes: [...base.graph.nodes, again],
        outputs: [...base.graph.outputs, { name: "z" }],
      },
    };
    const [layer] = await layersOf(model);
    const treater = await treaterOf(layer!, kernels);
    expect(treater.facts.rigid).toBe("other nodes use its weight");
    expect(treater.target).toBeNull();
    const treated = treater.treat({
      form: null,
      sparsity: zeros("unstructured", 0.5),
      storage: integers(31),
    });
    await compared({ model, layer: layer!, treater }, treated, { feeds: feedsOf(kind) });
  });
});

describe("degenerate weights", () => {
  const small = [
    kindOf("1×1 MatMul", "MatMul", { weight: [1, 1], input: [2, 1] }),
    kindOf("1×1 Gemm", "Gemm", { weight: [1, 1], input: [2, 1], bias: 1 }),
    kindOf("Conv of one weight", "Conv", { weight: [1, 1, 1, 1], input: [1, 1, 2, 2], bias: 1 }),
    kindOf("odd MatMul", "MatMul", { weight: [7, 3], input: [2, 7] }),
    kindOf("odd Conv", "Conv", { weight: [3, 5, 3, 1], input: [1, 5, 5, 4], bias: 3 }),
    kindOf("depthwise Conv", "Conv", {
      weight: [5, 1, 3, 3],
      input: [1, 5, 5, 5],
      bias: 5,
      attributes: { group: int(5) },
    }),
  ];
  const weights: Record<string, (w: number, i: number) => number> = {
    "as they are": (w) => w,
    "half of them zero": (w, i) => (i % 2 === 0 ? 0 : w),
    "all zero": () => 0,
    "all equal": () => 0.25,
    "of a huge and a tiny one": (w, i) => (i === 0 ? 3e4 : i === 1 ? 1e-7 : w),
  };
  for (const [name, change] of Object.entries(weights)) {
    test(`${name}: nothing is NaN, and what is computed agrees to 1e-5`, async () => {
      for (const [k, kind] of small.entries()) {
        const one = await prepared(kind, { values: floats(kind.weight).map(change) });
        for (const [i, treatment] of treatmentsOf(one.treater.target).entries()) {
          const treated = one.treater.treat(treatment);
          if ((i + k) % 3 === 0) await compared(one, treated, { feeds: feedsOf(kind) });
          const { layerError, weightError } = treated.result.stats;
          expect(Number.isFinite(layerError) && Number.isFinite(weightError)).toBe(true);
          expect(treated.effective.every(Number.isFinite)).toBe(true);
        }
      }
    });
  }

  test("infinities and NaN are left alone, with the reason", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const kind = KINDS[7]!;
      const { treater } = await prepared(kind, { values: floats(kind.weight).fill(bad, 3, 4) });
      expect(treater.untreatable).toBe("its weight has infinities or NaN");
    }
  });

  test("inputs that were never other than zero, and a single sample", async () => {
    const nothing: MomentsOf = (n) => momentsOf(new Float32Array(3 * n), 3, n);
    const single: MomentsOf = (n) => momentsOf(floats([1, n], 4), 1, n);
    const diagonal: MomentsOf = (n) => ({ ...correlatedMoments(n), gram: null });
    for (const moments of [nothing, single, diagonal, null]) {
      for (const kind of [KINDS[2]!, KINDS[5]!, lstm(2, 3, 7)]) {
        const one = await prepared(kind, {}, moments);
        for (const [i, treatment] of treatmentsOf(one.treater.target).entries()) {
          const treated = one.treater.treat(treatment);
          expect(treated.effective.every(Number.isFinite)).toBe(true);
          expect(Number.isFinite(treated.candidate.error)).toBe(true);
          if (i % 5 === 0) await compared(one, treated, { feeds: feedsOf(kind) });
        }
      }
    }
  });
});

describe("the corrected bias", () => {
  const samples = 64;

  /** Inputs of 24 features with a large mean, and their moments. */
  function seen(): { x: Float32Array; moments: InputMoments } {
    const x = floats([samples, 24], 8).map((one, i) => one + 0.7 + (i % 24) / 24);
    return { x, moments: momentsOf(x, samples, 24) };
  }

  for (const kind of [KINDS[5]!, KINDS[6]!]) {
    test(`of ${kind.name} gives back the mean of its outputs to 1e-5, which the treatment alone moves`, async () => {
      const { x, moments } = seen();
      const wide = { ...kind, input: [samples, 24] };
      const one = await prepared(wide, {}, () => moments);
      const feeds = { x: { type: "float32", data: x, dims: [samples, 24] } } as const;
      const meansOf = (y: readonly number[]) =>
        Array.from(
          { length: 12 },
          (_, c) => y.reduce((sum, v, i) => sum + (i % 12 === c ? v : 0), 0) / samples,
        );
      const before = meansOf(await runWeb(one.model, feeds));
      const farthest = (means: number[]) => Math.max(...means.map((mean, i) => Math.abs(mean - before[i]!)));
      for (const treatment of treatmentsOf(one.treater.target)) {
        const treated = one.treater.treat(treatment);
        if (treated.candidate.error < 1e-9) continue;
        const moved = farthest(meansOf(await runWeb(assembled(one.model, one.layer, treated), feeds)));
        const uncorrected = withEffective(one.model, one.layer, { ...treated, bias: null });
        const alone = farthest(meansOf(await runWeb(uncorrected, feeds)));
        expect(moved, JSON.stringify(treatment)).toBeLessThan(1e-5);
        expect(alone, JSON.stringify(treatment)).toBeGreaterThan(5 * moved);
      }
    });
  }

  test("is left alone where nothing was seen, and where other nodes use it", async () => {
    const half: Treatment = { form: null, sparsity: null, storage: { kind: "half" } };
    const free = await prepared(KINDS[5]!, {}, null);
    expect(free.treater.treat(half).bias).toBeNull();
    const shared = kindOf("a Gemm", "Gemm", { weight: [24, 12], input: [5, 24], bias: 12 });
    const base = await modelWith(shared);
    const graph = { ...base.graph, outputs: [...base.graph.outputs, { name: "b" }] };
    const [layer] = await layersOf({ ...base, graph });
    expect((await treaterOf(layer!, kernels)).treat(half).bias).toBeNull();
  });

  test("its centred moments are those of x − E[x], to 1e-5", () => {
    const { x, moments } = seen();
    const less = x.map((one, i) => one - moments.mean[i % 24]!);
    const { gram, diagonal } = centred(moments);
    const expected = momentsOf(less, samples, 24);
    gram!.forEach((one, i) => {
      expect(Math.abs(one - expected.gram![i]!)).toBeLessThan(1e-5);
    });
    diagonal.forEach((one, i) => {
      expect(Math.abs(one - expected.diagonal[i]!)).toBeLessThan(1e-5);
    });
  });
});

describe("random layers", () => {
  const dim = fc.integer({ min: 1, max: 9 });
  const kernel = fc.integer({ min: 1, max: 3 });
  const groups = fc.integer({ min: 1, max: 3 });
  const kinds: fc.Arbitrary<Kind> = fc.oneof(
    fc.record({ i: dim, o: dim, kh: kernel, kw: kernel, groups, bias: fc.boolean() }).map((c) =>
      kindOf("Conv", "Conv", {
        weight: [c.o * c.groups, c.i, c.kh, c.kw],
        input: [1, c.i * c.groups, c.kh + 2, c.kw + 1],
        attributes: { group: int(c.groups) },
        ...(c.bias ? { bias: c.o * c.groups } : {}),
      }),
    ),
    fc.record({ i: dim, o: dim, k: kernel, groups, bias: fc.boolean() }).map((c) =>
      kindOf("ConvTranspose", "ConvTranspose", {
        weight: [c.i * c.groups, c.o, c.k],
        input: [1, c.i * c.groups, 3],
        attributes: { group: int(c.groups) },
        ...(c.bias ? { bias: c.o * c.groups } : {}),
      }),
    ),
    fc.record({ i: dim, o: dim, transB: fc.nat(1), bias: fc.boolean() }).map((c) =>
      kindOf("Gemm", "Gemm", {
        weight: c.transB ? [c.o, c.i] : [c.i, c.o],
        input: [3, c.i],
        attributes: { transB: int(c.transB) },
        ...(c.bias ? { bias: c.o } : {}),
      }),
    ),
    fc
      .record({ i: dim, o: dim, batch: groups })
      .map((c) => kindOf("MatMul", "MatMul", { weight: [c.batch, c.i, c.o], input: [c.batch, 2, c.i] })),
    fc
      .record({ directions: fc.integer({ min: 1, max: 2 }), hidden: dim, inputs: dim })
      .map((c) => lstm(c.directions, c.hidden, c.inputs)),
    fc
      .record({ entries: fc.integer({ min: 2, max: 20 }), width: dim })
      .map((c) => gather("Gather", [c.entries, c.width], 0)),
  );
  const seeing: fc.Arbitrary<MomentsOf | null> = fc.constantFrom<(MomentsOf | null)[]>(
    correlatedMoments,
    (n) => ({ ...correlatedMoments(n), gram: null }),
    (n) => correlatedMoments(n, 1, n + 2),
    null,
  );

  test("any treatment agrees with its dense weight to 1e-5 and its error with a slow count to 1e-4 or a millionth", async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        seeing,
        fc.nat(1000),
        fc.nat(10_000),
        fc.constantFrom(0, 0.3),
        async (kind, moments, seed, pick, sparse) => {
          const values = floats(kind.weight, seed).map((w) => (Math.abs(w) < sparse ? 0 : w));
          const one = await prepared(kind, { values }, moments);
          const treatments = treatmentsOf(one.treater.target);
          const treated = one.treater.treat(treatments[pick % treatments.length]!);
          await compared(one, treated, { feeds: feedsOf(kind) });
          const error = slowError(one, treated, moments);
          expect(Math.abs(treated.candidate.error - error)).toBeLessThanOrEqual(1e-4 * error + 1e-6);
        },
      ),
      { numRuns: 100, seed: 4 },
    );
  });
});
