import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { realModel } from "../models/registry.ts";
import { compressed } from "./compressed.ts";

/** Half a second of a voice-like tone at 8 kHz, in the windows of that branch of the model. */
function narrowband(window: number): Feeds {
  const tone = (i: number) => 0.3 * Math.sin(i / 5) * Math.sin(i / 300);
  return {
    input: {
      dataType: DataType.FLOAT,
      dims: [1, 288],
      data: Float32Array.from({ length: 288 }, (_, i) => tone(window * 256 + i)),
    },
    state: {
      dataType: DataType.FLOAT,
      dims: [2, 1, 128],
      data: Float32Array.from({ length: 256 }, (_, i) => Math.cos(i * window) / 4),
    },
    sr: { dataType: DataType.INT64, dims: [], data: BigInt64Array.of(8000n) },
  };
}

describe("the automatic recipe", () => {
  // Of the methods the one that is quickest to search.
  test("leaves the branch that its samples never reach as it was, to 1e-4", async () => {
    const upload = await realModel("voice-activity").bytes();
    const { artifact, report } = await compressed(upload, { methods: ["quantization"] });
    expect(artifact.byteLength).toBeLessThan(upload.byteLength);
    expect(report.layers.some(({ method }) => method !== "none")).toBe(true);
    expect(report.layers.some(({ reason }) => reason?.includes("never use it"))).toBe(true);
    const runtime = await nodeRuntime();
    const [before, after] = [await runtime.load(upload), await runtime.load(artifact)];
    for (let window = 0; window < 8; window++) {
      const [a, b] = [await before.run(narrowband(window)), await after.run(narrowband(window))];
      for (const name of before.outputNames) {
        const [x, y] = [a[name]!.data as Float32Array, b[name]!.data as Float32Array];
        const largest = Math.max(...x.map((value, i) => Math.abs(value - y[i]!)));
        expect(largest).toBeLessThan(1e-4);
      }
    }
    await before.release();
    await after.release();
  });

  test("keeps R² ≥ 0.99 on every output, measured on the artifact", async () => {
    const { report } = await compressed(await realModel("keyword-head").bytes(), {});
    expect(report.fidelity!.min_r2).toBeGreaterThanOrEqual(0.99);
    expect(report.bytes.compressed).toBeLessThanOrEqual(report.bytes.original);
  });
});
