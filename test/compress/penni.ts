import type { SharingForm } from "../../src/compress/treatment.ts";
import { tailEnergy, thinSvd } from "../../src/kernels/reference/svd.ts";

/**
 * PENNI (ICML 2020, §3.1), data-free: the kernels of `size` weights each, as rows, projected onto the first `bases` right
 * singular vectors of all of them.
 */
export function penni(
  weight: Float32Array,
  size: number,
  bases: number,
): { dense: Float32Array /** ‖W − Ŵ‖²/‖W‖². */; lost: number } {
  const rows = weight.length / size;
  const { s, v } = thinSvd(Float64Array.from(weight), rows, size);
  const rank = s.length;
  const dense = new Float32Array(weight.length);
  for (let r = 0; r < rows; r++) {
    for (let b = 0; b < Math.min(bases, rank); b++) {
      let coefficient = 0;
      for (let c = 0; c < size; c++) coefficient += weight[r * size + c]! * v[c * rank + b]!;
      for (let c = 0; c < size; c++) dense[r * size + c]! += coefficient * v[c * rank + b]!;
    }
  }
  return { dense, lost: tailEnergy(s)[bases] ?? 0 };
}

interface Sizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly bases: number;
}

/** Ŵ[o,i,:] = Σ_b C[o,i,b]·B_b as outputs × inputs × kernel, from the two weights of a chain. */
export function reconstructed(
  basis: Float32Array,
  coefficients: Float32Array,
  { inputs, outputs, kernel, bases }: Sizes,
  order: SharingForm,
): Float32Array {
  return Float32Array.from({ length: outputs * inputs * kernel }, (_, at) => {
    const [o, i, j] = [
      Math.floor(at / (inputs * kernel)),
      Math.floor(at / kernel) % inputs,
      at % kernel,
    ] as const;
    let sum = 0;
    for (let b = 0; b < bases; b++) {
      const place = order === "basis_first" ? (o * inputs + i) * bases + b : (o * bases + b) * inputs + i;
      sum += coefficients[place]! * basis[b * kernel + j]!;
    }
    return sum;
  });
}
