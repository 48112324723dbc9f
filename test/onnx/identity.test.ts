import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { readModel } from "../../src/onnx/read.ts";
import { standardOpset } from "../../src/onnx/scope.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { inOrder, OPSETS, validateModel, validateSparseTensors } from "../../src/onnx/validate.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { realModels } from "../models/registry.ts";
import { plain, withoutOrigins } from "./check.ts";

const CONFORMANCE = "/usr/share/libonnx-testdata";

/**
 * Read → write gives the same bytes; read → copy without origins → write → read gives the same model, and bytes that
 * are written the same way again.
 */
async function expectIdentity(bytes: Uint8Array, name: string) {
  const model = await readModel(bytesSource(bytes));
  expect(Buffer.compare(await modelBytes(model), bytes), `${name}: bytes after read and write`).toBe(0);
  const encodedAnew = await modelBytes(withoutOrigins(model));
  expect(encodedAnew.length, `${name}: not larger when encoded anew`).toBeLessThanOrEqual(bytes.length);
  const again = await readModel(bytesSource(encodedAnew));
  expect(await plain(again), `${name}: the model after encoding anew`).toEqual(await plain(model));
  expect(Buffer.compare(await modelBytes(withoutOrigins(again)), encodedAnew), `${name}: stable`).toBe(0);
  return model;
}

describe("real models are written as they were read, and validate", () => {
  for (const real of realModels) {
    test.skipIf(real.missing !== null)(
      `${real.name}${real.missing === null ? "" : ` (${real.missing})`}`,
      async () => {
        const model = await expectIdentity(await real.bytes(), real.name);
        validateModel(model);
        await validateSparseTensors(model);
        expect(inOrder(model)).toBe(model);
      },
    );
  }
});

const conformance = existsSync(CONFORMANCE)
  ? (await readdir(CONFORMANCE, { recursive: true })).filter((path) => path.endsWith(".onnx")).sort()
  : [];

test.skipIf(conformance.length === 0)(
  `conformance models of libonnx-testdata are written as they were read, and validate where their opset is taken${
    conformance.length === 0 ? " (the Debian package libonnx-testdata is not installed)" : ""
  }`,
  async () => {
    for (const path of conformance) {
      const model = await expectIdentity(await readFile(`${CONFORMANCE}/${path}`), path);
      const opset = standardOpset(model);
      if (opset !== undefined && opset < OPSETS.oldest) continue;
      expect(() => validateModel(model), path).not.toThrow();
      await validateSparseTensors(model);
    }
    expect(conformance.length).toBeGreaterThanOrEqual(932);
  },
);
