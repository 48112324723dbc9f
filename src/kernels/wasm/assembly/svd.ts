import { eigenWork, PANEL, symmetricEigen } from "./eigen";
import { ALL, gemm, UPPER } from "./gemm";
import { dot, mirror, normalize, rotate } from "./vector";

/** Two or three are enough after the eigenvectors of AᵀA. */
const MOST_SWEEPS: i32 = 30;

/** Doubles of `work` that {@link thinSvd} needs. */
export function svdWork(n: usize): usize {
  return n * n + n + ((n + PANEL - 1) / PANEL) * PANEL * n + eigenWork(n);
}

/**
 * The thin SVD of a tall A, m × n, in no order: `left` gets the left vectors times the singular values, n × m, `right`
 * the right vectors, n × n, a vector a row. A is scaled by the power of two that is returned, 0 for a zero A.
 *
 * The eigenvectors of AᵀA alone would lose the smaller half of the digits; they start one-sided Jacobi rotations
 * (Golub & Van Loan, §8.6.3) close to their end.
 */
export function thinSvd(a: usize, m: usize, n: usize, left: usize, right: usize, work: usize): f64 {
  const power = normalize(a, m * n);
  const gram = work;
  const values = gram + n * n * 8;
  const panels = values + n * 8;
  gemm<f64>(n, n, m, a, 1, n, a, n, 1, gram, n, 1, false, UPPER);
  mirror<f64>(gram, n);
  symmetricEigen(gram, n, values, panels, panels + ((n + PANEL - 1) / PANEL) * PANEL * n * 8);
  for (let row: usize = 0; row < n; row++) {
    const from = panels + ((row / PANEL) * n * PANEL + (row % PANEL)) * 8;
    for (let j: usize = 0; j < n; j++) {
      store<f64>(right + (j * n + row) * 8, load<f64>(from + j * PANEL * 8));
    }
  }
  gemm<f64>(n, m, n, right, n, 1, a, 1, n, left, m, 1, false, ALL);
  orthogonalize(left, right, m, n, values);
  return power;
}

/** Rotates pairs of rows of `left`, and those of `right` with them, until all are orthogonal. */
function orthogonalize(left: usize, right: usize, m: usize, n: usize, norms: usize): void {
  const tolerance = 4 * f64.EPSILON * sqrt(<f64>m);
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let largest: f64 = 0;
    for (let i: usize = 0; i < n; i++) {
      const x = left + i * m * 8;
      const norm = dot(x, x, m);
      store<f64>(norms + i * 8, norm);
      largest = max(largest, norm);
    }
    let rotated = false;
    for (let p: usize = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const xx = load<f64>(norms + p * 8);
        const yy = load<f64>(norms + q * 8);
        if (min(xx, yy) <= 1e-32 * largest) continue;
        const x = left + p * m * 8;
        const y = left + q * m * 8;
        const xy = dot(x, y, m);
        if (abs(xy) <= tolerance * sqrt(xx) * sqrt(yy)) continue;
        const tau = (yy - xx) / (2 * xy);
        const t = (tau < 0 ? -1.0 : 1.0) / (abs(tau) + sqrt(1 + tau * tau));
        const c = 1 / sqrt(1 + t * t);
        rotate(c, t * c, x, y, m);
        rotate(c, t * c, right + p * n * 8, right + q * n * 8, n);
        store<f64>(norms + p * 8, xx - t * xy);
        store<f64>(norms + q * 8, yy + t * xy);
        rotated = true;
      }
    }
    if (!rotated) return;
  }
}
