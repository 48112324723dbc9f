import { ALL, gemm } from "./gemm";

/**
 * One step of ADMM: see `Kernels.admmStep`. V is overwritten by the next V, W and the eigenvalues by what is on the way.
 *
 * With D = Z − U it is X = D + (W − D)·H·(H + ρI)⁻¹, and V = Z + (1 − relaxation)·U + relaxation·(X − D).
 * @param zeroed m × n bytes
 * @param values n doubles
 * @param vectors n × n, eigenvectors as columns
 * @param turned room for m · n floats
 */
export function admmStep(
  v: usize,
  zeroed: usize,
  w: usize,
  values: usize,
  vectors: usize,
  m: usize,
  n: usize,
  penalty: f64,
  decay: f64,
  relaxation: f64,
  turned: usize,
): void {
  const dual = <f32>decay;
  const left = <f32>(1 - relaxation);
  for (let i: usize = 0; i < m * n; i++) {
    const at = i * 4;
    const value = load<f32>(v + at);
    const zero = load<u8>(zeroed + i) !== 0;
    const u = dual * value;
    store<f32>(w + at, load<f32>(w + at) + (zero ? u : -value));
    store<f32>(v + at, zero ? left * u : value);
  }
  gemm<f32>(m, n, n, w, n, 1, vectors, n, 1, turned, n, 1, false, ALL);
  const factors = values;
  for (let j: usize = 0; j < n; j++) {
    const value = load<f64>(values + j * 8);
    store<f32>(factors + j * 4, <f32>((relaxation * value) / (value + penalty)));
  }
  for (let i: usize = 0; i < m; i++) {
    for (let j: usize = 0; j < n; j++) {
      const at = turned + (i * n + j) * 4;
      store<f32>(at, load<f32>(factors + j * 4) * load<f32>(at));
    }
  }
  gemm<f32>(m, n, n, turned, n, 1, vectors, 1, n, v, n, 1, true, ALL);
}
