import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as ort from "onnxruntime-web/wasm";
import { RuntimeInitError } from "./errors.ts";
import { configure, ortRuntime } from "./ort-session.ts";
import type { Runtime } from "./runtime.ts";

/**
 * onnxruntime-web in Node: the same WASM bytes on one thread as in workerd and in browsers, so that results agree
 * bit for bit (onnxruntime-node has other kernels and rounds differently).
 *
 * The WASM heap grows and never shrinks; released sessions leave room for the next. A host that wants the memory
 * itself back after a large model runs the work in a process of its own: the end of a `worker_threads` Worker gives
 * back only part of it at once.
 * @throws RuntimeInitError when the WASM file cannot be read.
 */
export async function nodeRuntime(): Promise<Runtime> {
  if (ort.env.wasm.wasmBinary === undefined) {
    try {
      const path = createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
      const wasm = await readFile(path);
      ort.env.wasm.wasmBinary = wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength);
    } catch (error) {
      throw new RuntimeInitError("the WASM file of onnxruntime-web cannot be read; run npm ci", {
        cause: error,
      });
    }
    configure(ort.env);
  }
  return ortRuntime(ort, "node");
}
