/** The kernels' WASM file is not where it should be, or is not what it should be. */
export class KernelLoadError extends Error {
  override readonly name = "KernelLoadError";
}
