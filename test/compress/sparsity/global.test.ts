import { expect, test } from "vitest";
import { globalZeros } from "../../../src/compress/sparsity/global.ts";
import { floats } from "../tiny.ts";

test("a global ratio takes exactly its share of all weights, by one threshold, equal ones by order", async () => {
  for (const [ratio, taken] of [
    [0, 0],
    [0.35, 70],
    [0.999, 200],
  ] as const) {
    const layers = [floats([100], 1), floats([60], 2).map((w) => w / 10), floats([40], 3).fill(0.25, 5, 15)];
    const zeros = await globalZeros(
      layers.map((values, i) => ({ layer: `l${i}`, count: values.length, load: async () => values })),
      ratio,
    );
    expect([...zeros.values()].reduce((sum, n) => sum + n, 0)).toBe(taken);
    const whole = layers.flatMap((values, l) => [...values].map((w) => ({ l, size: Math.abs(w) })));
    const smallest = whole.toSorted((a, b) => a.size - b.size || a.l - b.l).slice(0, taken);
    for (const l of [0, 1, 2]) {
      expect(zeros.get(`l${l}`)).toBe(smallest.filter((one) => one.l === l).length);
    }
  }
});
