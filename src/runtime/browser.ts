import * as ort from "onnxruntime-web/wasm";
import { configure, ortRuntime } from "./ort-session.ts";
import type { Runtime } from "./runtime.ts";

/**
 * onnxruntime-web in a page, on one WASM thread as everywhere else.
 * @param wasmUrl where the page's server has `ort-wasm-simd-threaded.wasm` of the same version.
 */
export async function browserRuntime(wasmUrl: string): Promise<Runtime> {
  ort.env.wasm.wasmPaths = { wasm: wasmUrl };
  configure(ort.env);
  return ortRuntime(ort, "browser");
}
