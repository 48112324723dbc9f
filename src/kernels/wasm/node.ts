import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Kernels } from "../kernels.ts";
import { compile } from "./compile.ts";
import { wasmKernels } from "./kernels.ts";
import { KernelLoadError } from "./load-error.ts";

/**
 * The WASM kernels in Node.
 * @throws KernelLoadError when the file has not been built.
 */
export async function nodeKernels(): Promise<Kernels> {
  try {
    const bytes = await readFile(join(import.meta.dirname, "kernels.wasm"));
    return wasmKernels(await compile(bytes));
  } catch (error) {
    throw new KernelLoadError("the WASM kernels cannot be loaded; run npm run build", {
      cause: error,
    });
  }
}
