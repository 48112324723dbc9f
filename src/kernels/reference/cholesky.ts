import { NotPositiveDefiniteError } from "../kernels.ts";
import type { FloatArray } from "./matmul.ts";

/**
 * Lower L with A = L·Lᵀ, row by row (Golub & Van Loan, §4.2.5).
 *
 * A pivot that has lost all but n roundings of its diagonal entry counts as zero, so that a matrix is refused or
 * taken whatever its scale.
 * @throws NotPositiveDefiniteError
 */
export function cholesky(a: Float64Array, n: number): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
      if (j < i) l[i * n + j] = sum / l[j * n + j]!;
      else if (sum > n * Number.EPSILON * a[i * n + i]!) l[i * n + i] = Math.sqrt(sum);
      else throw new NotPositiveDefiniteError(n);
    }
  }
  return l;
}

/** X of L·Lᵀ·X = B by forward and back substitution: B and X n × m. */
export function solveCholesky(l: Float64Array, b: Float64Array, n: number, m: number): Float64Array {
  const x = Float64Array.from(b);
  for (let c = 0; c < m; c++) {
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) x[i * m + c]! -= l[i * n + k]! * x[k * m + c]!;
      x[i * m + c]! /= l[i * n + i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) x[i * m + c]! -= l[k * n + i]! * x[k * m + c]!;
      x[i * m + c]! /= l[i * n + i]!;
    }
  }
  return x;
}

/**
 * Upper U with H⁻¹ = Uᵀ·U. With P the reversal of the order, P·H·P = L·Lᵀ gives U = P·L⁻¹·P, which is upper: the inverse
 * of H itself is never formed.
 * @throws NotPositiveDefiniteError also where U leaves the range of single precision
 */
export function inverseFactor(h: FloatArray, n: number): Float32Array {
  const last = n * n - 1;
  const l = cholesky(
    Float64Array.from(h, (_, i) => h[last - i]!),
    n,
  );
  const inverse = new Float64Array(n * n);
  for (let c = 0; c < n; c++) {
    for (let i = c; i < n; i++) {
      let sum = i === c ? 1 : 0;
      for (let k = c; k < i; k++) sum -= l[i * n + k]! * inverse[k * n + c]!;
      inverse[i * n + c] = sum / l[i * n + i]!;
    }
  }
  const u = Float32Array.from(inverse, (_, i) => inverse[last - i]!);
  const positive = Array.from({ length: n }, (_, i) => u[i * n + i]!).every((x) => x > 0);
  if (!positive || !u.every(Number.isFinite)) throw new NotPositiveDefiniteError(n);
  return u;
}
