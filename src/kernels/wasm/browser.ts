import type { Kernels } from "../kernels.ts";
import { compile } from "./compile.ts";
import { wasmKernels } from "./kernels.ts";
import { KernelLoadError } from "./load-error.ts";

/**
 * The WASM kernels in a page.
 * @param wasmUrl where the page's server has `kernels.wasm`
 * @throws KernelLoadError
 */
export async function browserKernels(wasmUrl: string): Promise<Kernels> {
  const response = await fetch(wasmUrl);
  if (!response.ok) throw new KernelLoadError(`${wasmUrl} answered ${response.status}`);
  return wasmKernels(await compile(await response.arrayBuffer()));
}
