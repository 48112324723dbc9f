import { describe, expect, test } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { testdataMissing, testModelBytes, testNames, testValues } from "../../onnx/constant/testdata.ts";
import { relativeDifference, runNative } from "./native.ts";
import { nodeCount } from "./nodes.ts";

describe("simplify on ONNX's own operator tests", () => {
  test.skipIf(testdataMissing)(
    "never more bytes or nodes; a changed model computes what the original does within 1e-5",
    { timeout: 120_000 },
    async () => {
      let compared = 0;
      for (const name of testNames()) {
        const before = await testModelBytes(name);
        const model = await readModel(bytesSource(before));
        const { model: simplified, passes } = await simplify(model);
        const after = await modelBytes(simplified);
        expect(after.length, name).toBeLessThanOrEqual(before.length);
        expect(nodeCount(simplified), name).toBeLessThanOrEqual(nodeCount(model));
        expect(
          simplified.graph.outputs.map((output) => output.name),
          name,
        ).toEqual(model.graph.outputs.map((output) => output.name));
        if (passes.length === 0) continue;
        validateModel(await readModel(bytesSource(after)));
        const values = await testValues(name, model);
        if (!values) continue;
        const feeds = Object.fromEntries(
          model.graph.inputs.map((input, i) => [input.name, values.inputs[i]!]),
        );
        const expected = await supported(before, feeds);
        if (!expected) continue;
        const actual = await runNative(after, feeds);
        for (const [output, value] of Object.entries(expected)) {
          expect(relativeDifference(value, actual[output]!), `${name}: ${output}`).toBeLessThanOrEqual(1e-5);
        }
        compared++;
      }
      expect(compared).toBeGreaterThan(100);
    },
  );
});

/** Null where ONNX Runtime does not run the original either. */
async function supported(bytes: Uint8Array, feeds: Feeds): Promise<Feeds | null> {
  return runNative(bytes, feeds).catch(() => null);
}
