import { expect, test } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { realModel } from "../models/registry.ts";
import { compressed, samplesFile } from "./compressed.ts";

/** Feeds of one sample each as one of all of them. */
function together(feeds: readonly Feeds[], name: string): Feeds {
  const [, ...dims] = feeds[0]![name]!.dims;
  const data = new Float32Array(feeds.flatMap((feed) => [...(feed[name]!.data as Float32Array)]));
  return { [name]: { dataType: DataType.FLOAT, dims: [feeds.length, ...dims], data } };
}

test.each(["vit-mnist", "lenet-5"])(
  "a job whose memory holds a part of %s gives the same file as one that holds it all",
  async (name) => {
    const real = realModel(name);
    if (real.missing !== null) return;
    const upload = await real.bytes();
    const samples = samplesFile(together(await real.samples(12), "input"));
    const recipe: Recipe = { methods: ["quantization"] };
    const whole = await compressed(upload, recipe, samples);
    const parts = await compressed(upload, recipe, samples, 4 * upload.byteLength * 0.4);
    expect(Buffer.compare(parts.artifact, whole.artifact)).toBe(0);
    expect(whole.artifact.byteLength).toBeLessThan(upload.byteLength);
    expect(parts.report.layers).toEqual(whole.report.layers);
    expect(parts.report.fidelity).toEqual(whole.report.fidelity);
    expect(whole.report.latency_ms).not.toBeNull();
    expect(parts.report.latency_ms).toBeNull();
    expect(parts.report.warnings.some((warning) => /run in segments/.test(warning))).toBe(true);
  },
);
