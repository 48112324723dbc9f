import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { realModels } from "../../models/registry.ts";
import { relativeDifference, relativeError, runNative } from "./native.ts";
import { nodeCount } from "./nodes.ts";

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
