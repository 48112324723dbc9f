import { describe, expect, test } from "vitest";
import type { Treatment } from "../../src/compress/treatment.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { prepared } from "./layer-treater-check.ts";
import { integers, KINDS, zeros } from "./one-layer.ts";

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
