import type { InputMoments } from "../../compress/input-moments.ts";
import type { Kernels } from "../../kernels/kernels.ts";
import type { Vectors } from "./vectors.ts";

/**
 * Squares of longer vectors would overflow single precision once they are summed; they are left out, as are those
 * with NaN or infinities.
 */
const MOST_SQUARED_LENGTH = 1e28;

/** Sums the vectors that one matrix sees. */
export class MomentsAccumulator {
  readonly #n: number;
  readonly #kernels: Kernels;
  readonly #gram: Float32Array | null;
  /** Vectors that are not in the Gram matrix yet: it is added to by many rows at once. */
  readonly #rows: Float32Array;
  readonly #sum: Float64Array;
  readonly #squares: Float64Array;
  #waiting = 0;
  #count = 0;

  /** @param capacity vectors that are gathered before the Gram matrix is added to */
  constructor(n: number, keepsGram: boolean, capacity: number, kernels: Kernels) {
    this.#n = n;
    this.#kernels = kernels;
    this.#gram = keepsGram ? new Float32Array(n * n) : null;
    this.#rows = new Float32Array((keepsGram ? capacity : 1) * n);
    this.#sum = new Float64Array(n);
    this.#squares = new Float64Array(n);
  }

  add(vectors: Vectors, matrix: number, index: number): void {
    const n = this.#n;
    const rows = this.#rows;
    const at = this.#waiting * n;
    vectors.write(matrix, index, rows, at);
    let length = 0;
    for (let i = 0; i < n; i++) length += rows[at + i]! * rows[at + i]!;
    if (!(length <= MOST_SQUARED_LENGTH)) return;
    for (let i = 0; i < n; i++) {
      const value = rows[at + i]!;
      this.#sum[i]! += value;
      this.#squares[i]! += value * value;
    }
    this.#count++;
    if (this.#gram === null) return;
    this.#waiting++;
    if (this.#waiting * n === rows.length) this.#flush(this.#gram);
  }

  /** The means; null where nothing was added. The accumulator cannot be used afterwards. */
  finish(): InputMoments | null {
    const count = this.#count;
    if (count === 0) return null;
    const gram = this.#gram;
    if (gram !== null) {
      this.#flush(gram);
      for (let i = 0; i < gram.length; i++) gram[i]! /= count;
    }
    const mean = (sums: Float64Array) => Float32Array.from(sums, (sum) => sum / count);
    return { n: this.#n, count, gram, diagonal: mean(this.#squares), mean: mean(this.#sum) };
  }

  #flush(gram: Float32Array): void {
    if (this.#waiting === 0) return;
    this.#kernels.addGram(gram, this.#rows.subarray(0, this.#waiting * this.#n), this.#waiting, this.#n);
    this.#waiting = 0;
  }
}
