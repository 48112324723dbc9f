import { ALL, gemm, LOWER } from "./gemm";
import { axpy, dot, scale } from "./vector";

/** Columns that are walked one by one before the rest is updated by a matrix product. */
const BLOCK: usize = 32;

/**
 * Lower L of A = L·Lᵀ in place, right-looking by blocks (Golub & Van Loan, §4.2.9); false where A is not positive
 * definite by the measure of the reference.
 * @param limits room for n doubles
 */
export function factor(a: usize, n: usize, limits: usize): bool {
  for (let i: usize = 0; i < n; i++) {
    store<f64>(limits + i * 8, <f64>n * f64.EPSILON * load<f64>(a + i * (n + 1) * 8));
  }
  for (let k: usize = 0; k < n; k += BLOCK) {
    const end = min(n, k + BLOCK);
    for (let i = k; i < n; i++) {
      const row = a + (i * n + k) * 8;
      const last = min(i, end);
      for (let j = k; j < last; j++) {
        const other = a + (j * n + k) * 8;
        const width = j - k;
        const rest = load<f64>(row + width * 8) - dot(row, other, width);
        store<f64>(row + width * 8, rest / load<f64>(other + width * 8));
      }
      if (i >= end) continue;
      const pivot = load<f64>(row + (i - k) * 8) - dot(row, row, i - k);
      if (!(pivot > load<f64>(limits + i * 8))) return false;
      store<f64>(row + (i - k) * 8, sqrt(pivot));
      memory.fill(row + (i - k + 1) * 8, 0, (n - i - 1) * 8);
    }
    const panel = a + (end * n + k) * 8;
    const rest = n - end;
    gemm<f64>(rest, rest, end - k, panel, n, 1, panel, 1, n, a + end * (n + 1) * 8, n, -1, true, LOWER);
  }
  return true;
}

/** X of L·Lᵀ·X = X in place: X n × m. */
export function solve(l: usize, x: usize, n: usize, m: usize): void {
  for (let k: usize = 0; k < n; k += BLOCK) {
    const end = min(n, k + BLOCK);
    gemm<f64>(end - k, m, k, l + k * n * 8, n, 1, x, m, 1, x + k * m * 8, m, -1, true, ALL);
    for (let i = k; i < end; i++) {
      const row = x + i * m * 8;
      for (let t = k; t < i; t++) axpy(-load<f64>(l + (i * n + t) * 8), x + t * m * 8, row, m);
      scale(1 / load<f64>(l + i * (n + 1) * 8), row, m);
    }
  }
  for (let end = n; end > 0; end = ((end - 1) / BLOCK) * BLOCK) {
    const k = ((end - 1) / BLOCK) * BLOCK;
    const below = l + (end * n + k) * 8;
    gemm<f64>(end - k, m, n - end, below, 1, n, x + end * m * 8, m, 1, x + k * m * 8, m, -1, true, ALL);
    for (let i = end; i-- > k; ) {
      const row = x + i * m * 8;
      for (let t = i + 1; t < end; t++) axpy(-load<f64>(l + (t * n + i) * 8), x + t * m * 8, row, m);
      scale(1 / load<f64>(l + i * (n + 1) * 8), row, m);
    }
  }
}

/** L⁻¹ in place of L, whose entries above the diagonal are zero, a block of rows at a time. */
function invert(l: usize, n: usize, work: usize): void {
  const diagonal = work;
  const product = work + BLOCK * BLOCK * 8;
  for (let k: usize = 0; k < n; k += BLOCK) {
    const size = min(BLOCK, n - k);
    const rows = l + k * n * 8;
    gemm<f64>(size, k, k, rows, n, 1, l, n, 1, product, k, -1, false, ALL);
    for (let i: usize = 0; i < size; i++) {
      const row = rows + i * n * 8;
      memory.copy(diagonal + i * BLOCK * 8, row + k * 8, size * 8);
      memory.copy(row, product + i * k * 8, k * 8);
      memory.fill(row + k * 8, 0, size * 8);
      store<f64>(row + (k + i) * 8, 1);
    }
    for (let i: usize = 0; i < size; i++) {
      const row = rows + i * n * 8;
      const factors = diagonal + i * BLOCK * 8;
      for (let t: usize = 0; t < i; t++) axpy(-load<f64>(factors + t * 8), rows + t * n * 8, row, k + t + 1);
      scale(1 / load<f64>(factors + i * 8), row, k + i + 1);
    }
  }
}

/** Doubles of `work` that {@link inverse} needs. */
export function inverseWork(n: usize): usize {
  return BLOCK * BLOCK + BLOCK * n;
}

/**
 * U of H⁻¹ = Uᵀ·U in place of H, as singles in its first half. With P the reversal of the order, P·H·P = L·Lᵀ gives
 * U = P·L⁻¹·P. False where H is not positive definite, or U leaves the range of single precision.
 */
export function inverse(h: usize, n: usize, work: usize): bool {
  reverse(h, n * n);
  if (!factor(h, n, work)) return false;
  invert(h, n, work);
  reverse(h, n * n);
  let finite = true;
  for (let i: usize = 0; i < n * n; i++) {
    const value = <f32>load<f64>(h + i * 8);
    finite = finite && abs(value) <= f32.MAX_VALUE;
    store<f32>(h + i * 4, value);
  }
  for (let i: usize = 0; i < n; i++) finite = finite && load<f32>(h + i * (n + 1) * 4) > 0;
  return finite;
}

function reverse(x: usize, count: usize): void {
  let low = x;
  let high = x + (count - 1) * 8;
  while (low < high) {
    const value = load<f64>(low);
    store<f64>(low, load<f64>(high));
    store<f64>(high, value);
    low += 8;
    high -= 8;
  }
}
