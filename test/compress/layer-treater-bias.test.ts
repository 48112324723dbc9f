import { describe, expect, test } from "vitest";
import { centred, type InputMoments } from "../../src/compress/input-moments.ts";
import type { Treatment } from "../../src/compress/treatment.ts";
import { momentsOf } from "./forms-layer.ts";
import { kernels, prepared } from "./layer-treater-check.ts";
import {
  assembled,
  KINDS,
  kindOf,
  layersOf,
  modelWith,
  treaterOf,
  treatmentsOf,
  withEffective,
} from "./one-layer.ts";
import { floats, runWeb } from "./tiny.ts";

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
