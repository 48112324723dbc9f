import type { Kernels } from "../kernels.ts";
import { wasmKernels } from "./kernels.ts";
import module from "./kernels.wasm";

/** The WASM kernels in a Worker, which takes WASM only as a static import. */
export async function workerdKernels(): Promise<Kernels> {
  return wasmKernels(module);
}
