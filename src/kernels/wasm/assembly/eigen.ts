import { axpy, dot, normalize, scale } from "./vector";

/** Rows of V that lie side by side in a panel; a panel stays in the cache while everything is applied to it. */
export const PANEL: usize = 8;

/** Doubles of plane rotations that are gathered before they are applied to all panels. */
const ROTATIONS: usize = 32768;
/** Never reached by a matrix of finite numbers. */
const MOST_ITERATIONS: i32 = 60;

/** Doubles of `work` that {@link symmetricEigen} needs. */
export function eigenWork(n: usize): usize {
  return 4 * n + max(ROTATIONS, 2 * n + 2);
}

/**
 * A = V·diag(d)·Vᵀ by Householder reflections to a tridiagonal matrix and implicit QL (Golub & Van Loan, §8.3), in no
 * order. A is overwritten.
 * @param panels V, entry (row, column) at [row / 8][column][row % 8], ceil(n / 8) panels of n × 8
 */
export function symmetricEigen(a: usize, n: usize, d: usize, panels: usize, work: usize): void {
  const e = work;
  const tau = work + n * 8;
  const product = work + 2 * n * 8;
  const rotations = work + 4 * n * 8;
  const power = normalize(a, n * n);
  tridiagonalize(a, n, d, e, tau, product);
  for (let first: usize = 0; first < n; first += PANEL) {
    const panel = panels + first * n * 8;
    memory.fill(panel, 0, n * PANEL * 8);
    for (let r = first; r < min(n, first + PANEL); r++) store<f64>(panel + (r * PANEL + r - first) * 8, 1);
    for (let i = n - 1; i > 0; i--) reflect(panel, a + i * n * 8, load<f64>(tau + i * 8), i);
  }
  diagonalize(n, d, e, panels, rotations);
  scale(power, d, n);
}

/**
 * T = Qᵀ·A·Q with Q = H_{n−1}···H₁ from the lower triangle of A. H_i = I − τ_i·v·vᵀ, v of length i left in row i; d gets
 * the diagonal, e[i] what lies between i and i + 1.
 */
function tridiagonalize(a: usize, n: usize, d: usize, e: usize, tau: usize, product: usize): void {
  for (let i = n; i-- > 0; ) {
    const v = a + i * n * 8;
    store<f64>(d + i * 8, load<f64>(v + i * 8));
    if (i === 0) break;
    const last = v + (i - 1) * 8;
    const tail = dot(v, v, i - 1);
    const head = load<f64>(last);
    if (tail === 0) {
      store<f64>(e + (i - 1) * 8, head);
      store<f64>(tau + i * 8, 0);
      continue;
    }
    const norm = sqrt(tail + head * head);
    const beta = head > 0 ? -norm : norm;
    const factor = (beta - head) / beta;
    scale(1 / (head - beta), v, i - 1);
    store<f64>(last, 1);
    store<f64>(e + (i - 1) * 8, beta);
    store<f64>(tau + i * 8, factor);

    memory.fill(product, 0, i * 8);
    for (let j: usize = 0; j < i; j++) addSymmetric(a + j * n * 8, v, product, j);
    scale(factor, product, i);
    axpy(-0.5 * factor * dot(product, v, i), v, product, i);
    for (let j: usize = 0; j < i; j++) {
      subtractTwo(a + j * n * 8, v, product, load<f64>(v + j * 8), load<f64>(product + j * 8), j + 1);
    }
  }
  store<f64>(e + (n - 1) * 8, 0);
}

/** Row j of a lower triangle and its mirror image, times v, added to y. */
function addSymmetric(row: usize, v: usize, y: usize, j: usize): void {
  const vj = load<f64>(v + j * 8);
  const factor = f64x2.splat(vj);
  let sum0 = f64x2.splat(0);
  let sum1 = sum0;
  let k: usize = 0;
  for (; k + 4 <= j; k += 4) {
    const x0 = v128.load(row + k * 8);
    const x1 = v128.load(row + k * 8, 16);
    sum0 = f64x2.relaxed_madd(x0, v128.load(v + k * 8), sum0);
    sum1 = f64x2.relaxed_madd(x1, v128.load(v + k * 8, 16), sum1);
    v128.store(y + k * 8, f64x2.relaxed_madd(factor, x0, v128.load(y + k * 8)));
    v128.store(y + k * 8, f64x2.relaxed_madd(factor, x1, v128.load(y + k * 8, 16)), 16);
  }
  const sum = f64x2.add(sum0, sum1);
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  for (; k < j; k++) {
    const x = load<f64>(row + k * 8);
    total += x * load<f64>(v + k * 8);
    store<f64>(y + k * 8, load<f64>(y + k * 8) + vj * x);
  }
  store<f64>(y + j * 8, load<f64>(y + j * 8) + total + load<f64>(row + j * 8) * vj);
}

/** row −= vj·w + wj·v. */
function subtractTwo(row: usize, v: usize, w: usize, vj: f64, wj: f64, n: usize): void {
  const byV = f64x2.splat(vj);
  const byW = f64x2.splat(wj);
  let k: usize = 0;
  for (; k + 2 <= n; k += 2) {
    const x = f64x2.relaxed_nmadd(byV, v128.load(w + k * 8), v128.load(row + k * 8));
    v128.store(row + k * 8, f64x2.relaxed_nmadd(byW, v128.load(v + k * 8), x));
  }
  if (k < n) {
    store<f64>(row + k * 8, load<f64>(row + k * 8) - vj * load<f64>(w + k * 8) - wj * load<f64>(v + k * 8));
  }
}

/** Each of the panel's eight rows r ← r·(I − τ·v·vᵀ) in its first `n` columns. */
function reflect(panel: usize, v: usize, tau: f64, n: usize): void {
  if (tau === 0) return;
  let s0 = f64x2.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (let c: usize = 0; c < n; c++) {
    const at = panel + c * PANEL * 8;
    const x = v128.load64_splat(v + c * 8);
    s0 = f64x2.relaxed_madd(x, v128.load(at), s0);
    s1 = f64x2.relaxed_madd(x, v128.load(at, 16), s1);
    s2 = f64x2.relaxed_madd(x, v128.load(at, 32), s2);
    s3 = f64x2.relaxed_madd(x, v128.load(at, 48), s3);
  }
  const factor = f64x2.splat(tau);
  s0 = f64x2.mul(factor, s0);
  s1 = f64x2.mul(factor, s1);
  s2 = f64x2.mul(factor, s2);
  s3 = f64x2.mul(factor, s3);
  for (let c: usize = 0; c < n; c++) {
    const at = panel + c * PANEL * 8;
    const x = v128.load64_splat(v + c * 8);
    v128.store(at, f64x2.relaxed_nmadd(x, s0, v128.load(at)));
    v128.store(at, f64x2.relaxed_nmadd(x, s1, v128.load(at, 16)), 16);
    v128.store(at, f64x2.relaxed_nmadd(x, s2, v128.load(at, 32)), 32);
    v128.store(at, f64x2.relaxed_nmadd(x, s3, v128.load(at, 48)), 48);
  }
}

/**
 * Implicit QL with Wilkinson's shift on (d, e). Each sweep is noted as its first row, its number of rotations, and a
 * cosine and sine for each; V takes them many sweeps at a time.
 */
function diagonalize(n: usize, d: usize, e: usize, panels: usize, rotations: usize): void {
  const full = rotations + (eigenWork(n) - 4 * n) * 8;
  let note = rotations;
  for (let l: usize = 0; l < n; l++) {
    for (let iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
      let m = l;
      while (m < n - 1 && !negligible(d, e, m)) m++;
      if (m === l) break;
      if (note + (2 * (m - l) + 2) * 8 > full) {
        rotateAll(n, panels, rotations, note);
        note = rotations;
      }
      const start = note;
      note += 16;
      const el = load<f64>(e + l * 8);
      const dl = load<f64>(d + l * 8);
      let g = (load<f64>(d + l * 8, 8) - dl) / (2 * el);
      let r = sqrt(g * g + 1);
      g = load<f64>(d + m * 8) - dl + el / (g < 0 ? g - r : g + r);
      let s: f64 = 1;
      let c: f64 = 1;
      let p: f64 = 0;
      let i = m;
      while (i > l) {
        i--;
        const ei = load<f64>(e + i * 8);
        const f = s * ei;
        const b = c * ei;
        r = sqrt(f * f + g * g);
        store<f64>(e + i * 8, r, 8);
        const above = load<f64>(d + i * 8, 8);
        if (r === 0) {
          store<f64>(d + i * 8, above - p, 8);
          i++;
          break;
        }
        s = f / r;
        c = g / r;
        g = above - p;
        r = (load<f64>(d + i * 8) - g) * s + 2 * c * b;
        p = s * r;
        store<f64>(d + i * 8, g + p, 8);
        g = c * r - b;
        store<f64>(note, c);
        store<f64>(note, s, 8);
        note += 16;
        r = 1;
      }
      store<f64>(start, <f64>m);
      store<f64>(start, <f64>(m - i), 8);
      store<f64>(e + m * 8, 0);
      if (r !== 0) {
        store<f64>(d + l * 8, load<f64>(d + l * 8) - p);
        store<f64>(e + l * 8, g);
      }
    }
  }
  rotateAll(n, panels, rotations, note);
}

/** Whether the matrix falls apart between i and i + 1; its entries are of size 1. */
function negligible(d: usize, e: usize, i: usize): bool {
  const size = abs(load<f64>(d + i * 8)) + abs(load<f64>(d + i * 8, 8));
  return abs(load<f64>(e + i * 8)) <= f64.EPSILON * (0.5 * size + 0.001);
}

function rotateAll(n: usize, panels: usize, from: usize, to: usize): void {
  for (let first: usize = 0; first < n; first += PANEL) {
    let note = from;
    while (note < to) {
      const start = <usize>load<f64>(note);
      const count = <usize>load<f64>(note, 8);
      note += 16;
      sweep(panels + (first * n + start * PANEL) * 8, note, count);
      note += count * 16;
    }
  }
}

/** One sweep of rotations down the columns of a panel; the column that two rotations share stays in registers. */
function sweep(column: usize, rotation: usize, count: usize): void {
  let x0 = v128.load(column);
  let x1 = v128.load(column, 16);
  let x2 = v128.load(column, 32);
  let x3 = v128.load(column, 48);
  const end = rotation + count * 16;
  while (rotation < end) {
    const c = v128.load64_splat(rotation);
    const s = v128.load64_splat(rotation, 8);
    column -= PANEL * 8;
    const y0 = v128.load(column);
    const y1 = v128.load(column, 16);
    const y2 = v128.load(column, 32);
    const y3 = v128.load(column, 48);
    v128.store(column, f64x2.relaxed_madd(s, y0, f64x2.mul(c, x0)), 64);
    v128.store(column, f64x2.relaxed_madd(s, y1, f64x2.mul(c, x1)), 80);
    v128.store(column, f64x2.relaxed_madd(s, y2, f64x2.mul(c, x2)), 96);
    v128.store(column, f64x2.relaxed_madd(s, y3, f64x2.mul(c, x3)), 112);
    x0 = f64x2.relaxed_nmadd(s, x0, f64x2.mul(c, y0));
    x1 = f64x2.relaxed_nmadd(s, x1, f64x2.mul(c, y1));
    x2 = f64x2.relaxed_nmadd(s, x2, f64x2.mul(c, y2));
    x3 = f64x2.relaxed_nmadd(s, x3, f64x2.mul(c, y3));
    rotation += 16;
  }
  v128.store(column, x0);
  v128.store(column, x1, 16);
  v128.store(column, x2, 32);
  v128.store(column, x3, 48);
}
