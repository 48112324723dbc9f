import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { correlatedMoments, momentsOf } from "./forms-layer.ts";
import { compared, kernels, prepared, slowError } from "./layer-treater-check.ts";
import {
  feedsOf,
  gather,
  integers,
  KINDS,
  kindOf,
  layersOf,
  lstm,
  type MomentsOf,
  modelWith,
  treaterOf,
  treatmentsOf,
  zeros,
} from "./one-layer.ts";
import { floats, int } from "./tiny.ts";

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
        const error = slowError(one, treated);
        expect(Math.abs(treated.result.stats.layerError - error)).toBeLessThanOrEqual(1e-4 * error + 1e-8);
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
    await compared({ model, layer: layer! }, treated, { feeds: feedsOf(kind) });
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
