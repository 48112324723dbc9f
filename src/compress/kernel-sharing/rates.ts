/** Milliseconds for a multiply-accumulate, an unfolded element and an output element. */
interface Rates {
  readonly mac: number;
  readonly unfolded: number;
  readonly output: number;
}

/**
 * Measured by `npx node scripts/bench-forms.ts` with onnxruntime-web 1.30.0 in Node 22, one thread, on a 2-core Linux
 * machine: 45 shapes from 16 to 256 channels and 7² to 112² positions, kernels 3×3, 5×5 and 1×7. Half of the
 * shapes are predicted to within 4% (dense), 8% (1×1) and 12% (grouped), nine in ten to within 14%, 20% and 40%.
 */
export const RATES: { readonly [kind in "dense" | "pointwise" | "grouped"]: Rates } = {
  dense: { mac: 7.5e-8, unfolded: 2.3e-7, output: 2.3e-7 },
  pointwise: { mac: 7.4e-8, unfolded: 0, output: 3.9e-7 },
  grouped: { mac: 8e-8, unfolded: 2.1e-7, output: 5.2e-7 },
};
