import type { Env } from "onnxruntime-web/wasm";

/** Where the memory is kept: on onnxruntime-web's settings, of which there is one a WASM instance. */
const MEMORY: unique symbol = Symbol("memory of onnxruntime-web");

type Instantiate = (source: unknown, imports?: WebAssembly.Imports) => unknown;

/** workerd has no streaming one. */
interface Instantiators {
  readonly instantiate: Instantiate;
  readonly instantiateStreaming?: Instantiate;
}

type Watched = Env & { [MEMORY]?: WebAssembly.Memory };

/**
 * Learns the memory of onnxruntime-web's WASM instance, which its interface does not tell. The glue makes a shared
 * memory, as nothing else here does, and hands it to `WebAssembly.instantiate` (a page's, to `instantiateStreaming`):
 * both are replaced until such a memory has gone through one of them.
 */
export function watchMemory(env: Env): void {
  const { instantiate, instantiateStreaming } = WebAssembly as Instantiators;
  const note = (imports: WebAssembly.Imports | undefined): void => {
    const memory = sharedMemoryIn(imports);
    if (!memory) return;
    (env as Watched)[MEMORY] = memory;
    Object.assign(WebAssembly, { instantiate, instantiateStreaming });
  };
  const watched =
    (original: Instantiate): Instantiate =>
    (source, imports) => {
      note(imports);
      return original.call(WebAssembly, source, imports);
    };
  Object.assign(WebAssembly, {
    instantiate: watched(instantiate),
    ...(instantiateStreaming && { instantiateStreaming: watched(instantiateStreaming) }),
  });
}

/** Bytes of the memory; 0 while the instance does not exist. */
export function memoryBytes(env: Env): number {
  return (env as Watched)[MEMORY]?.buffer.byteLength ?? 0;
}

function sharedMemoryIn(imports: WebAssembly.Imports | undefined): WebAssembly.Memory | undefined {
  for (const module of Object.values(imports ?? {})) {
    for (const value of Object.values(module)) {
      if (value instanceof WebAssembly.Memory && !(value.buffer instanceof ArrayBuffer)) return value;
    }
  }
  return undefined;
}
