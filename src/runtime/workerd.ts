import ortModule from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import * as ort from "onnxruntime-web/wasm";
import { configure, ortRuntime } from "./ort-session.ts";
import type { Runtime } from "./runtime.ts";

/**
 * onnxruntime-web inside workerd.
 *
 * workerd compiles no WASM at run time: a module has to be a static import, which wrangler compiles at upload.
 * The Emscripten glue of onnxruntime-web 1.30 only knows how to compile bytes, and offers no hook that ORT passes
 * on. So ORT gets a marker instead of bytes, and `WebAssembly.instantiate` answers that marker with the static
 * module; every other call goes through untouched. This runs once, when the isolate loads this file: it holds
 * for the isolate's life, and jobs share nothing else.
 */
const MARKER = new TextEncoder().encode("hone: the static module of onnxruntime-web");

const instantiate = WebAssembly.instantiate.bind(WebAssembly) as (
  source: unknown,
  imports?: WebAssembly.Imports,
) => Promise<unknown>;

WebAssembly.instantiate = ((source: unknown, imports?: WebAssembly.Imports) =>
  source instanceof Uint8Array && isMarker(source)
    ? Promise.resolve({ module: ortModule, instance: new WebAssembly.Instance(ortModule, imports) })
    : instantiate(source, imports)) as typeof WebAssembly.instantiate;

ort.env.wasm.wasmBinary = MARKER.buffer as ArrayBuffer;
configure(ort.env);

function isMarker(bytes: Uint8Array): boolean {
  return bytes.byteLength === MARKER.byteLength && bytes.every((byte, i) => byte === MARKER[i]);
}

/**
 * The runtime of a Worker. The WASM heap never shrinks, and only the end of the isolate gives it back, so sessions
 * have to be released as soon as they are done with.
 */
export async function workerdRuntime(): Promise<Runtime> {
  return ortRuntime(ort, "workerd");
}
