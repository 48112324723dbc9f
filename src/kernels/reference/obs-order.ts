import type { ObsOrder } from "../kernels.ts";
import { gram } from "./matmul.ts";

/** Optimal brain compression, Algorithm 1: see {@link Kernels.obsOrder}. */
export function obsOrder(
  weight: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  zeros: number,
  group: number,
): ObsOrder {
  const taken = (n / group) * zeros;
  const columns = new Int32Array(m * taken);
  const losses = new Float64Array(m * taken);
  const inverse = gram(n, n, (row, column) => u[row * n + column]!);
  for (let r = 0; r < m; r++) {
    const w = Float64Array.from(weight.subarray(r * n, (r + 1) * n));
    const h = inverse.slice();
    const gone = new Int32Array(n / group);
    let active = Array.from(w.keys());
    const loss = (c: number) => w[c]! ** 2 / h[c * n + c]!;
    for (let step = 0; step < taken; step++) {
      const open = active.filter((c) => gone[Math.floor(c / group)]! < zeros);
      const p = open.reduce((best, c) => (loss(c) < loss(best) ? c : best));
      gone[Math.floor(p / group)]!++;
      columns[r * taken + step] = p;
      losses[r * taken + step] = loss(p);
      active = active.filter((c) => c !== p);
      const pivot = h[p * n + p]!;
      for (const i of active) {
        const share = h[i * n + p]! / pivot;
        w[i]! -= share * w[p]!;
        for (const j of active) h[i * n + j]! -= share * h[p * n + j]!;
      }
    }
  }
  return { columns, losses };
}
