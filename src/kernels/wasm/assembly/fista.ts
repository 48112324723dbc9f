import { ALL, gemm } from "./gemm";
import { proximal } from "./proximal";
import { padded, sumOfProducts } from "./reduce";

/**
 * One step of FISTA: see `Kernels.fistaStep`. `forward` becomes X, `before` the gradient step from it; W is overwritten.
 * @param h n × n, or the n entries of its diagonal where `diagonal` is set
 * @param sums gets tr((X−W)·H·(X−W)ᵀ) and R(X)
 */
export function fistaStep(
  forward: usize,
  before: usize,
  w: usize,
  h: usize,
  diagonal: bool,
  m: usize,
  n: usize,
  segment: usize,
  norm: f64,
  regularizer: i32,
  momentum: f64,
  t: f64,
  sums: usize,
  work: usize,
): void {
  const count = m * n;
  const x = forward;
  const product = before;
  padded(x, count);
  padded(before, count);
  padded(w, count);
  extrapolate(x, before, count, <f32>momentum);
  store<f64>(sums, proximal(x, m, n, segment, regularizer, t, before, work), 8);
  for (let i: usize = 0; i < count; i += 4) {
    v128.store(w + i * 4, f32x4.sub(v128.load(x + i * 4), v128.load(w + i * 4)));
  }
  if (diagonal) {
    for (let i: usize = 0; i < m; i++) {
      for (let j: usize = 0; j < n; j++) {
        const at = (i * n + j) * 4;
        store<f32>(product + at, load<f32>(w + at) * load<f32>(h + j * 4));
      }
    }
  } else gemm<f32>(m, n, n, w, n, 1, h, n, 1, product, n, 1, false, ALL);
  padded(product, count);
  store<f64>(sums, sumOfProducts(w, product, count));
  const step = f32x4.splat(<f32>(1 / norm));
  for (let i: usize = 0; i < count; i += 4) {
    const move = f32x4.mul(step, v128.load(product + i * 4));
    v128.store(product + i * 4, f32x4.sub(v128.load(x + i * 4), move));
  }
}

/** y += momentum · (y − before). */
function extrapolate(y: usize, before: usize, count: usize, momentum: f32): void {
  if (momentum === 0) return;
  const factor = f32x4.splat(momentum);
  for (let i: usize = 0; i < count; i += 4) {
    const value = v128.load(y + i * 4);
    const move = f32x4.mul(factor, f32x4.sub(value, v128.load(before + i * 4)));
    v128.store(y + i * 4, f32x4.add(value, move));
  }
}
