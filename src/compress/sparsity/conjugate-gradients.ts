/** A symmetric positive definite A that the rows share, and the diagonal that preconditions it. */
export interface RowSystem {
  /** X·A of X, rows × n. */
  readonly times: (x: Float32Array) => Float32Array;
  /** n, positive. */
  readonly diagonal: Float32Array;
}

/**
 * Some iterations of preconditioned conjugate gradients (Golub & Van Loan, §11.5.2) for X·A = B, all rows together and each with
 * its own step, so that every iteration is one product.
 *
 * @param x rows × n, what to start from; becomes the solution
 * @param residual B − X·A; becomes that of the solution
 * @param enough one a row: the squared residual, each entry over A's diagonal, at which the row is done
 */
export function conjugateGradients(
  x: Float32Array,
  residual: Float32Array,
  { times, diagonal }: RowSystem,
  enough: Float64Array,
  iterations: number,
): void {
  const rows = enough.length;
  const n = diagonal.length;
  const direction = residual.map((r, i) => r / diagonal[i % n]!);
  const norm = rowProducts(residual, direction, rows, n);
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (norm.every((value, r) => value <= enough[r]!)) break;
    const image = times(direction);
    const curvature = rowProducts(direction, image, rows, n);
    for (let r = 0; r < rows; r++) {
      if (!(curvature[r]! > 0) || norm[r]! <= enough[r]!) {
        direction.fill(0, r * n, (r + 1) * n);
        continue;
      }
      const step = norm[r]! / curvature[r]!;
      let after = 0;
      for (let c = 0, i = r * n; c < n; c++, i++) {
        x[i]! += step * direction[i]!;
        residual[i]! -= step * image[i]!;
        after += (residual[i]! * residual[i]!) / diagonal[c]!;
      }
      const momentum = after / norm[r]!;
      for (let c = 0, i = r * n; c < n; c++, i++) {
        direction[i] = residual[i]! / diagonal[c]! + momentum * direction[i]!;
      }
      norm[r] = after;
    }
  }
}

/** Inner product of each row of A with that of B. */
function rowProducts(a: Float32Array, b: Float32Array, rows: number, n: number): Float64Array {
  const products = new Float64Array(rows);
  for (let r = 0; r < rows; r++) for (let i = r * n; i < (r + 1) * n; i++) products[r]! += a[i]! * b[i]!;
  return products;
}
