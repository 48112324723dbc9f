/**
 * The part of ‖A‖² that each truncation throws away: entry d is Σ_{j ≥ d} σ_j² / Σ σ_j² (d = 0 … n), which by
 * Eckart and Young is the least relative error of any matrix of rank d. Zero for a zero matrix.
 */
export function tailEnergy(singular: Float64Array): Float64Array {
  const n = singular.length;
  const tail = new Float64Array(n + 1);
  for (let j = n - 1; j >= 0; j--) tail[j] = tail[j + 1]! + singular[j]! ** 2;
  const total = tail[0]!;
  return total > 0 ? tail.map((energy) => energy / total) : tail;
}

/** A = U·diag(s)·Vᵀ, r = min(m, n): U m × r, V n × r, row major, s falling. */
export interface ThinSvd {
  readonly u: Float64Array;
  readonly s: Float64Array;
  readonly v: Float64Array;
}

/** Sweeps after which one-sided Jacobi has converged for every matrix of doubles; it needs 6 to 12. */
const MAX_SWEEPS = 60;

/**
 * Thin SVD by one-sided Jacobi rotations of the columns (Golub & Van Loan, §8.6.3); a wide A is transposed first.
 *
 * The vectors of the shorter side are orthonormal, each with its largest entry positive; those of the longer side
 * are zero where the singular value is below 1e-15 of the largest.
 */
export function thinSvd(a: Float64Array, m: number, n: number): ThinSvd {
  if (m < n) {
    const { u, s, v } = thinSvd(transposed(a, m, n), n, m);
    return { u: v, s, v: u };
  }
  const columns = Array.from({ length: n }, (_, j) =>
    Float64Array.from({ length: m }, (_, i) => a[i * n + j]!),
  );
  const right = Array.from({ length: n }, (_, j) => {
    const unit = new Float64Array(n);
    unit[j] = 1;
    return unit;
  });
  const scale = Math.max(...columns.map((column) => dot(column, column)), 0);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let rotated = false;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) rotated = orthogonalize(columns, right, p, q, scale * 1e-32) || rotated;
    }
    if (!rotated) break;
  }
  return collected(columns, right, m, n);
}

/** Makes columns p and q orthogonal; false where they are already, or where one of them is negligible. */
function orthogonalize(
  columns: readonly Float64Array[],
  right: readonly Float64Array[],
  p: number,
  q: number,
  negligible: number,
): boolean {
  const [x, y] = [columns[p]!, columns[q]!];
  const tolerance = 4 * Number.EPSILON * Math.sqrt(x.length);
  const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
  if (xx <= negligible || yy <= negligible || Math.abs(xy) <= tolerance * Math.sqrt(xx) * Math.sqrt(yy))
    return false;
  const tau = (yy - xx) / (2 * xy);
  const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
  const c = 1 / Math.sqrt(1 + t * t);
  for (const [a, b] of [
    [x, y],
    [right[p]!, right[q]!],
  ] as const) {
    for (let i = 0; i < a.length; i++) {
      const [ai, bi] = [a[i]!, b[i]!];
      a[i] = c * ai - t * c * bi;
      b[i] = t * c * ai + c * bi;
    }
  }
  return true;
}

function collected(
  columns: readonly Float64Array[],
  right: readonly Float64Array[],
  m: number,
  n: number,
): ThinSvd {
  const norms = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = norms.map((_, j) => j).sort((i, j) => norms[j]! - norms[i]! || i - j);
  const largest = norms[order[0] ?? 0] ?? 0;
  const [u, s, v] = [new Float64Array(m * n), new Float64Array(n), new Float64Array(n * n)];
  order.forEach((from, to) => {
    s[to] = norms[from]!;
    const sign = right[from]!.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0) < 0 ? -1 : 1;
    for (let i = 0; i < n; i++) v[i * n + to] = sign * right[from]![i]!;
    if (s[to]! <= 1e-15 * largest) return;
    for (let i = 0; i < m; i++) u[i * n + to] = (sign * columns[from]![i]!) / s[to]!;
  });
  return { u, s, v };
}

function transposed(a: Float64Array, m: number, n: number): Float64Array {
  return a.map((_, i) => a[(i % m) * n + Math.floor(i / m)]!);
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}
