import { expect, test } from "vitest";
import { compressed } from "./compressed.ts";
import { stackModel } from "./stack-model.ts";

/** Two layers of 2.9 million weights each: more than are treated whole. */
const WIDTH = 1700;

test("a layer past ten megabytes, in blocks of rows: int8 is one tensor, half zeros are sparse parts that the runtime joins", async () => {
  const model = await stackModel(2, WIDTH);
  const int8 = await compressed(model, { quantization: { weights: "int8" } });
  expect(int8.artifact.byteLength).toBeLessThan(0.26 * model.byteLength);
  expect(int8.report.fidelity!.min_r2).toBeGreaterThan(0.999);
  // Each layer once, and what its blocks became once more to be joined.
  const treated = int8.report.steps.filter(({ name }) => name.startsWith("treat "));
  expect(treated.length).toBe(2);
  for (const { bytes_read } of treated) expect(bytes_read).toBeLessThan(1.3 * WIDTH * WIDTH * 4);
  const half = await compressed(model, { sparsity: { ratio: 0.5, solver: "magnitude" } });
  expect(half.artifact.byteLength).toBeLessThan(0.7 * model.byteLength);
  expect(half.report.fidelity!.min_r2).toBeGreaterThan(0.5);
  for (const { nonzero, parameters } of half.report.layers) {
    expect(nonzero.compressed / parameters.compressed).toBeCloseTo(0.5, 3);
  }
  expect(half.report.steps.every(({ peak_bytes }) => peak_bytes > 0)).toBe(true);
});
