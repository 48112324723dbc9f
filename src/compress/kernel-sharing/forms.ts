import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { SharingForm } from "../treatment.ts";
import type { ConvolutionWork } from "./cost.ts";
import { basis, coefficients, type SharedKernels } from "./decompose.ts";

/** A weight with its shape, row major. */
export interface ShapedWeight {
  readonly dims: readonly number[];
  readonly values: FloatArray;
}

/**
 * The coefficients as the weight of the 1×1 convolution: c_out × (c_in·d) with channel i·d + b for the basis first,
 * (c_out·d) × c_in with row o·d + b for the coefficients first. Its input dimension is axis 1 in both.
 */
export function coefficientWeight(
  weight: FloatArray,
  shared: SharedKernels,
  work: ConvolutionWork,
  bases: number,
  form: SharingForm,
): ShapedWeight {
  const { inputs, outputs } = work;
  const c = coefficients(weight, shared, bases);
  if (form === "basis_first") return { dims: [outputs, inputs * bases], values: c };
  const moved = new Float64Array(c.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let b = 0; b < bases; b++) {
        moved[(o * bases + b) * inputs + i] = c[(o * inputs + i) * bases + b]!;
      }
    }
  }
  return { dims: [outputs * bases, inputs], values: moved };
}

/**
 * The basis as the weight of the grouped convolution: (c_in·d) × 1 × k… for the basis first, c_out × d × k… for the
 * coefficients first; the same d kernels once for each group.
 */
export function basisWeight(
  shared: SharedKernels,
  work: ConvolutionWork,
  kernel: readonly number[],
  bases: number,
  form: SharingForm,
): ShapedWeight {
  const once = basis(shared, bases);
  const groups = form === "basis_first" ? work.inputs : work.outputs;
  const values = new Float64Array(groups * once.length);
  for (let g = 0; g < groups; g++) values.set(once, g * once.length);
  const channels = form === "basis_first" ? [groups * bases, 1] : [groups, bases];
  return { dims: [...channels, ...kernel], values };
}

/** Ŵ[o,i,:] = Σ_b C[o,i,b]·B_b as c_out × c_in × k…, from the two weights of a form. */
export function reconstructed(
  basisValues: FloatArray,
  coefficientValues: FloatArray,
  work: ConvolutionWork,
  bases: number,
  form: SharingForm,
): Float64Array {
  const { inputs, outputs, kernel } = work;
  const w = new Float64Array(outputs * inputs * kernel);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let b = 0; b < bases; b++) {
        const at = form === "basis_first" ? (o * inputs + i) * bases + b : (o * bases + b) * inputs + i;
        const factor = coefficientValues[at]!;
        if (factor === 0) continue;
        for (let j = 0; j < kernel; j++) {
          w[(o * inputs + i) * kernel + j]! += factor * basisValues[b * kernel + j]!;
        }
      }
    }
  }
  return w;
}
