/**
 * What a job holds in memory while its steps run: the WASM memories of its host, and of its own buffers the large ones:
 * weights with the copies that treating them makes, moments, results under way, samples and answers. Not the runtime's own
 * garbage, nor what is small.
 */
export class MemoryAccount {
  readonly #wasmBytes: () => number;
  #held = 0;
  #peak = 0;

  /** @param wasmBytes of all WASM memories now */
  constructor(wasmBytes: () => number) {
    this.#wasmBytes = wasmBytes;
  }

  /** Counts so many bytes while the work goes on. */
  async holding<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    this.keep(bytes);
    try {
      return await work();
    } finally {
      this.#look();
      this.#held -= bytes;
    }
  }

  /** Counts so many bytes from now on. */
  keep(bytes: number): void {
    this.#held += bytes;
    this.#look();
  }

  /** The most bytes since this was asked last. */
  takePeak(): number {
    this.#look();
    const peak = this.#peak;
    this.#peak = 0;
    this.#look();
    return peak;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, this.#held + this.#wasmBytes());
  }
}
