import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as ort from "onnxruntime-web/wasm";
import { RuntimeInitError } from "./errors.ts";
import { memoryBytes } from "./ort-memory.ts";
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
  if (ort.env.wasm.wasmBinary === undefined && memoryBytes(ort.env) === 0) {
    try {
      const path = createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
      // A file of this size is read into a buffer of its own.
      ort.env.wasm.wasmBinary = (await readFile(path)).buffer;
    } catch (error) {
      throw new RuntimeInitError("the WASM file of onnxruntime-web cannot be read; run npm ci", {
        cause: error,
      });
    }
    configure(ort.env);
  }
  const runtime = ortRuntime(ort, "node");
  return {
    ...runtime,
    load: (model, options) => runtime.load(model, options).finally(freeWasmFile),
  };
}

/** Frees the bytes of the WASM file once there is an instance, of which a process has one; the glue would hold them as long as it lives. */
function freeWasmFile(): void {
  const { wasmBinary } = ort.env.wasm;
  if (!(wasmBinary instanceof ArrayBuffer) || memoryBytes(ort.env) === 0) return;
  wasmBinary.transfer(0);
  ort.env.wasm.wasmBinary = undefined;
}
