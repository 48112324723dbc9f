import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { rightSvd, tailEnergy } from "../../kernels/reference/svd.ts";

/**
 * Basis kernels shared by all kernels of a convolution (PENNI, ICML 2020, §3.1): the c_out·c_in kernels of k²
 * weights, as rows, are C·B with B of d × k² (orthonormal rows) and C of c_out·c_in × d. The SVD is not centred.
 */
export interface SharedKernels {
  /** k², the elements of a kernel. */
  readonly size: number;
  /** V: size × size, row major; basis kernel b is column b. */
  readonly right: Float64Array;
  /** Entry d: ‖W − C·B‖²/‖W‖² with d basis kernels, d = 0 … size. */
  readonly tail: Float64Array;
}

/** @param weight c_out × c_in × k…, finite; `size` is the product of the kernel's dimensions */
export function sharedKernels(weight: FloatArray, size: number): SharedKernels {
  const rows = weight.length / size;
  const { singular, right } = rightSvd(rows, size, (r, c) => weight[r * size + c]!);
  return { size, right, tail: tailEnergy(singular) };
}

/** Least number of basis kernels that keeps `energy` (0 … 1] of ‖W‖²; at least 1. */
export function basesForEnergy(shared: SharedKernels, energy: number): number {
  for (let d = 1; d < shared.size; d++) if (shared.tail[d]! <= 1 - energy) return d;
  return shared.size;
}

/** B: d × k², row major. */
export function basis(shared: SharedKernels, d: number): Float64Array {
  const { size, right } = shared;
  const b = new Float64Array(d * size);
  for (let i = 0; i < d; i++) for (let c = 0; c < size; c++) b[i * size + c] = right[c * size + i]!;
  return b;
}

/** C = W·Bᵀ: (c_out·c_in) × d, row major, which is a 1×1 convolution's weight of c_out × (c_in·d). */
export function coefficients(weight: FloatArray, shared: SharedKernels, d: number): Float64Array {
  const { size, right } = shared;
  const rows = weight.length / size;
  const c = new Float64Array(rows * d);
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < size; j++) {
      const w = weight[r * size + j]!;
      if (w === 0) continue;
      for (let b = 0; b < d; b++) c[r * d + b]! += w * right[j * size + b]!;
    }
  }
  return c;
}
