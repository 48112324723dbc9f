import type { AdmmProblem, AdmmStep, FistaPoint, ProximalProblem } from "../kernels.ts";
import { matmul } from "./matmul.ts";
import { REGULARIZERS } from "./regularizers.ts";

/** See {@link Kernels.fistaStep}. */
export function fistaStep(
  problem: ProximalProblem,
  forward: Float32Array,
  before: Float32Array,
  momentum: number,
  t: number,
): FistaPoint {
  const { m, n, w, h, norm } = problem;
  const regularizer = REGULARIZERS[problem.regularizer];
  const x = Float64Array.from(forward, (value, i) => value + momentum * (value - before[i]!));
  regularizer.prox(x, t, problem);
  const difference = x.map((value, i) => value - w[i]!);
  const gradient =
    h.length === n ? difference.map((value, i) => value * h[i % n]!) : matmul(difference, h, m, n, n);
  return {
    x: Float32Array.from(x),
    forward: Float32Array.from(x, (value, i) => value - gradient[i]! / norm),
    error: difference.reduce((sum, value, i) => sum + value * gradient[i]!, 0),
    penalty: regularizer.value(x, problem),
  };
}

/** See {@link Kernels.admmStep}. With D = Z − U it is X = D + (W − D)·H·(H + ρI)⁻¹, which is diagonal in H's eigenvectors. */
export function admmStep(
  { m, n, w, values, vectors }: AdmmProblem,
  v: Float32Array,
  zeroed: Uint8Array,
  { penalty, decay, relaxation }: AdmmStep,
): Float32Array {
  const z = Float64Array.from(v, (value, i) => (zeroed[i] === 1 ? 0 : value));
  const u = Float64Array.from(v, (value, i) => (zeroed[i] === 1 ? decay * value : 0));
  const d = z.map((value, i) => value - u[i]!);
  const turned = matmul(
    d.map((value, i) => w[i]! - value),
    vectors,
    m,
    n,
    n,
  );
  const shares = turned.map((value, i) => (value * values[i % n]!) / (values[i % n]! + penalty));
  const back = matmul(
    shares,
    vectors.map((_, i) => vectors[(i % n) * n + Math.floor(i / n)]!),
    m,
    n,
    n,
  );
  return Float32Array.from(back, (value, i) => {
    const x = d[i]! + value;
    return relaxation * x + (1 - relaxation) * z[i]! + u[i]!;
  });
}
