import { ALL, gemm } from "./gemm";
import { dot } from "./vector";

/** Bytes of `work` that {@link obsOrder} needs. */
export function orderWork(n: usize): usize {
  return (2 * n + 2 * n * n) * 8 + 2 * n * 4;
}

/**
 * The order in which optimal brain compression takes the weights of each row (Frantar, Singh and Alistarh 2022, Algorithm 1).
 *
 * As weights go, what is left of H⁻¹ is H⁻¹ − L·Lᵀ, with a further column of L for each of them: a Cholesky factor that chooses its
 * pivots. Only the diagonal of what is left and one column for each pivot are ever computed.
 *
 * @param u as doubles, n × n, H⁻¹ = Uᵀ·U
 * @param zeros weights that go of every `group` columns, which divides n
 * @param columns m × taken i32 that are written, with what each costs in `losses`, m × taken f64
 */
export function obsOrder(
  w: usize,
  u: usize,
  m: usize,
  n: usize,
  zeros: i32,
  group: usize,
  columns: usize,
  losses: usize,
  work: usize,
): void {
  const inverse = work;
  const l = inverse + n * n * 8;
  const weights = l + n * n * 8;
  const left = weights + n * 8;
  const active = left + n * 8;
  const gone = active + n * 4;
  const taken = (n / group) * <usize>zeros;
  gemm<f64>(n, n, n, u, 1, n, u, n, 1, inverse, n, 1, false, ALL);
  for (let r: usize = 0; r < m; r++) {
    for (let c: usize = 0; c < n; c++) {
      store<f64>(weights + c * 8, load<f32>(w + (r * n + c) * 4));
      store<f64>(left + c * 8, load<f64>(inverse + c * (n + 1) * 8));
      store<u32>(active + c * 4, <u32>c);
      store<i32>(gone + c * 4, 0);
    }
    for (let step: usize = 0; step < taken; step++) {
      let count = n - step;
      let at = count;
      let least: f64 = 0;
      for (let i: usize = 0; i < count; i++) {
        const c = <usize>load<u32>(active + i * 4);
        const weight = load<f64>(weights + c * 8);
        const loss = (weight * weight) / load<f64>(left + c * 8);
        if ((at < count && !(loss < least)) || load<i32>(gone + (c / group) * 4) >= zeros) continue;
        least = loss;
        at = i;
      }
      const p = <usize>load<u32>(active + at * 4);
      store<i32>(gone + (p / group) * 4, load<i32>(gone + (p / group) * 4) + 1);
      count--;
      memory.copy(active + at * 4, active + (at + 1) * 4, (count - at) * 4);
      store<u32>(columns, <u32>p);
      store<f64>(losses, least);
      columns += 4;
      losses += 8;
      const root = sqrt(load<f64>(left + p * 8));
      const share = load<f64>(weights + p * 8) / root;
      const row = l + p * n * 8;
      for (let i: usize = 0; i < count; i++) {
        const c = <usize>load<u32>(active + i * 4);
        const other = l + c * n * 8;
        const entry = (load<f64>(inverse + (p * n + c) * 8) - dot(row, other, step)) / root;
        store<f64>(other + step * 8, entry);
        store<f64>(left + c * 8, load<f64>(left + c * 8) - entry * entry);
        store<f64>(weights + c * 8, load<f64>(weights + c * 8) - entry * share);
      }
    }
  }
}
