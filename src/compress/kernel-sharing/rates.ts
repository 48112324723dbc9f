/** Milliseconds for a multiply-accumulate, an unfolded element and an output element. */
interface Rates {
  readonly mac: number;
  readonly unfolded: number;
  readonly output: number;
}

/** ONNX Runtime as WebAssembly, or as it is built for a processor. */
export type RuntimeKind = "web" | "native";

/**
 * Measured by `npx node scripts/bench-forms.ts` and `npx node scripts/bench-forms.ts native`: onnxruntime-web and
 * onnxruntime-node 1.30.0 in Node 22, one thread, on a 2-core Linux machine with AVX-512: 45 shapes from 16 to 256 channels
 * and 7² to 112² positions, kernels 3×3, 5×5 and 1×7. In onnxruntime-web half of the shapes are predicted to within 4%
 * (dense), 8% (1×1) and 12% (grouped), nine in ten to within 14%, 20% and 40%. In the native one half are predicted to within
 * 16%, 23% and 38%, nine in ten to within 31%, 48% and 67%: it has dense convolutions three times as fast and grouped ones no
 * faster, except those of one kernel a channel.
 */
export const RATES: {
  readonly [runtime in RuntimeKind]: { readonly [kind in "dense" | "pointwise" | "grouped"]: Rates };
} = {
  web: {
    dense: { mac: 7.5e-8, unfolded: 2.3e-7, output: 2.3e-7 },
    pointwise: { mac: 7.4e-8, unfolded: 0, output: 3.9e-7 },
    grouped: { mac: 8e-8, unfolded: 2.1e-7, output: 5.2e-7 },
  },
  native: {
    dense: { mac: 2.2e-8, unfolded: 8.9e-8, output: 8.6e-7 },
    pointwise: { mac: 2.6e-8, unfolded: 0, output: 9.4e-7 },
    grouped: { mac: 6.6e-8, unfolded: 2.1e-7, output: 7.2e-7 },
  },
};
