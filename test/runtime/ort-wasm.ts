import { env } from "cloudflare:workers";

/**
 * Stands in for the static import of onnxruntime-web's WASM in tests. The test runner hands modules to workerd as JSON
 * numbers, which takes most of a minute for 14 MB, in every test file. Here the bytes come as a binding and are compiled
 * by the runner's own permission to do so, which a deployed Worker does not have.
 */
const bindings = env as unknown as {
  readonly ORT_WASM: ArrayBuffer;
  readonly __VITEST_POOL_WORKERS_UNSAFE_EVAL: { newWasmModule(bytes: ArrayBuffer): WebAssembly.Module };
};

export default bindings.__VITEST_POOL_WORKERS_UNSAFE_EVAL.newWasmModule(bindings.ORT_WASM);
