import type { Kernels } from "../kernels/kernels.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** The runtime and the kernels of one host, each made when it is first asked for, and the memory that they have taken. */
export class WasmHomes {
  readonly #makeRuntime: () => Promise<Runtime>;
  readonly #makeKernels: () => Promise<Kernels>;
  #runtime: Promise<Runtime> | null = null;
  #kernels: Promise<Kernels> | null = null;
  readonly #made: { memoryBytes(): number }[] = [];

  constructor(runtime: () => Promise<Runtime>, kernels: () => Promise<Kernels>) {
    this.#makeRuntime = runtime;
    this.#makeKernels = kernels;
  }

  runtime(): Promise<Runtime> {
    this.#runtime ??= this.#noted(this.#makeRuntime());
    return this.#runtime;
  }

  kernels(): Promise<Kernels> {
    this.#kernels ??= this.#noted(this.#makeKernels());
    return this.#kernels;
  }

  /** Bytes of their WASM memories. */
  bytes(): number {
    return this.#made.reduce((sum, one) => sum + one.memoryBytes(), 0);
  }

  async #noted<T extends { memoryBytes(): number }>(making: Promise<T>): Promise<T> {
    const made = await making;
    this.#made.push(made);
    return made;
  }
}
