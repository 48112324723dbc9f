import { readFile } from "node:fs/promises";
import { Tensor } from "onnxruntime-web/wasm";
import { describe, expect, test } from "vitest";
import { RuntimeInitError } from "../../src/runtime/errors.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { loadSession } from "../../src/runtime/ort-session.ts";
import { describeRuntime } from "./contract.ts";
import { RECOGNISER, RECOGNISER_DIGEST, recogniserDigest } from "./same-bits.ts";

describeRuntime("node", nodeRuntime);

describe("onnxruntime-web in Node", () => {
  test("says so when the runtime could not be started, which is not the model's fault", async () => {
    const create = () =>
      Promise.reject(
        new Error(
          "no available backend found. ERR: [wasm] Error: previous call to 'initializeWebAssembly()' failed.",
        ),
      );
    const broken = { InferenceSession: { create }, Tensor };
    await expect(loadSession(broken, new Uint8Array(1))).rejects.toThrow(RuntimeInitError);
    await expect(loadSession(broken, new Uint8Array(1))).rejects.toThrow(/new process or isolate/);
  });

  test("gives the recogniser's answer to the bit", async () => {
    const runtime = await nodeRuntime();
    const session = await runtime.load(await readFile(RECOGNISER));
    expect(await recogniserDigest(session)).toBe(RECOGNISER_DIGEST);
    await session.release();
  });
});
