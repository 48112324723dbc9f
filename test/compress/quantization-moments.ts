import type { InputMoments } from "../../src/compress/input-moments.ts";
import type { QuantizeRequest } from "../../src/compress/quantization/quantize-matrix.ts";
import { floats } from "./tiny.ts";

export const REQUEST: QuantizeRequest = {
  levels: 15,
  spacing: "uniform",
  group: null,
  solver: "descent",
  keepZeros: false,
  halfScales: false,
};

/** Moments of correlated inputs with a mean, as behind a ReLU; columns of unlike size, the last `dead` never seen. */
export function momentsOf(n: number, seed: number, dead = 0, count = 4 * n): InputMoments {
  const mixing = floats([n, n], seed);
  const source = floats([count, n], seed + 1000);
  const gram = new Float64Array(n * n);
  const mean = new Float64Array(n);
  for (let s = 0; s < count; s++) {
    const x = Float64Array.from({ length: n }, (_, i) => {
      if (i >= n - dead) return 0;
      let sum = 0;
      for (let k = 0; k < n; k++) sum += mixing[i * n + k]! * source[s * n + k]! * (k < 3 ? 3 : 0.4);
      return Math.max(0, sum + 0.5) * (1 + (i % 4));
    });
    for (let i = 0; i < n; i++) {
      mean[i]! += x[i]! / count;
      for (let j = 0; j < n; j++) gram[i * n + j]! += (x[i]! * x[j]!) / count;
    }
  }
  return {
    n,
    count,
    gram: Float32Array.from(gram),
    diagonal: Float32Array.from({ length: n }, (_, i) => gram[i * n + i]!),
    mean: Float32Array.from(mean),
  };
}
