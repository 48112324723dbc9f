/** A value that was seen while the model ran. */
export interface Activation {
  readonly dims: readonly number[];
  /** Row major. */
  readonly data: Float32Array;
}

/**
 * The vectors x that a layer's matrices multiply in one run, W·x. They are written one at a time, so that an unfolded
 * feature map, k² times the map itself, never has to be held.
 */
export interface Vectors {
  /** Matrices that see vectors of their own; each sees `count` of `n` features. */
  readonly matrices: number;
  readonly n: number;
  readonly count: number;
  /** Writes vector `index` of a matrix to out[at], …, out[at + n − 1]. */
  write(matrix: number, index: number, out: Float32Array, at: number): void;
}
