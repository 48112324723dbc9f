/** Vectors of doubles. Two running sums hide the latency of the multiply-add. */

/** xᵀy. */
export function dot(x: usize, y: usize, n: usize): f64 {
  let sum0 = f64x2.splat(0);
  let sum1 = sum0;
  const end = x + (n & ~3) * 8;
  while (x < end) {
    sum0 = f64x2.relaxed_madd(v128.load(x), v128.load(y), sum0);
    sum1 = f64x2.relaxed_madd(v128.load(x, 16), v128.load(y, 16), sum1);
    x += 32;
    y += 32;
  }
  const sum = f64x2.add(sum0, sum1);
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  for (let i: usize = 0; i < (n & 3); i++) total += load<f64>(x + i * 8) * load<f64>(y + i * 8);
  return total;
}

/** y += α·x. */
export function axpy(alpha: f64, x: usize, y: usize, n: usize): void {
  const factor = f64x2.splat(alpha);
  const end = x + (n & ~1) * 8;
  while (x < end) {
    v128.store(y, f64x2.relaxed_madd(factor, v128.load(x), v128.load(y)));
    x += 16;
    y += 16;
  }
  if (n & 1) store<f64>(y, load<f64>(y) + alpha * load<f64>(x));
}

/** x *= α. */
export function scale(alpha: f64, x: usize, n: usize): void {
  for (let i: usize = 0; i < n; i++) store<f64>(x + i * 8, alpha * load<f64>(x + i * 8));
}

/** (x, y) ← (c·x − s·y, s·x + c·y). */
export function rotate(c: f64, s: f64, x: usize, y: usize, n: usize): void {
  const cosine = f64x2.splat(c);
  const sine = f64x2.splat(s);
  const end = x + (n & ~1) * 8;
  while (x < end) {
    const a = v128.load(x);
    const b = v128.load(y);
    v128.store(x, f64x2.relaxed_nmadd(sine, b, f64x2.mul(cosine, a)));
    v128.store(y, f64x2.relaxed_madd(sine, a, f64x2.mul(cosine, b)));
    x += 16;
    y += 16;
  }
  if (n & 1) {
    const a = load<f64>(x);
    const b = load<f64>(y);
    store<f64>(x, c * a - s * b);
    store<f64>(y, s * a + c * b);
  }
}

/** Divides x by the power of two at or below its largest magnitude, exactly, and returns that; 0 for a zero vector. */
export function normalize(x: usize, n: usize): f64 {
  let largest: f64 = 0;
  for (let i: usize = 0; i < n; i++) largest = max(largest, abs(load<f64>(x + i * 8)));
  const power = reinterpret<f64>(reinterpret<u64>(largest) & 0x7ff0000000000000);
  if (power > 0) scale(1 / power, x, n);
  return power;
}

/** Copies what is above the diagonal of A (n × n) below it. */
export function mirror<T>(a: usize, n: usize): void {
  for (let i: usize = 1; i < n; i++) {
    for (let j: usize = 0; j < i; j++) {
      store<T>(a + (i * n + j) * sizeof<T>(), load<T>(a + (j * n + i) * sizeof<T>()));
    }
  }
}
