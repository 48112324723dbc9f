import { readFile } from "node:fs/promises";
import { env } from "onnxruntime-web/wasm";
import { expect, test } from "vitest";
import { RuntimeLoadError } from "../../src/runtime/errors.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { RECOGNISER, RECOGNISER_DIGEST, recogniserDigest } from "./same-bits.ts";

// A file of its own: a process starts onnxruntime-web once.
test("the WASM file is let go once the runtime has started, were it with a bad model, and is not read again", async () => {
  const runtime = await nodeRuntime();
  const file = env.wasm.wasmBinary as ArrayBuffer;
  expect(file.byteLength).toBeGreaterThan(1e7);
  await expect(runtime.load(new Uint8Array(3))).rejects.toThrow(RuntimeLoadError);
  expect(env.wasm.wasmBinary).toBeUndefined();
  expect(file.detached).toBe(true);
  const again = await nodeRuntime();
  expect(env.wasm.wasmBinary).toBeUndefined();
  const session = await again.load(await readFile(RECOGNISER));
  expect(await recogniserDigest(session)).toBe(RECOGNISER_DIGEST);
  await session.release();
});
