/** Sums of floats in double precision, four at a time; what is beyond the last up to a whole vector has to be zero. */

/** Zeros up to a whole vector. */
export function padded(x: usize, count: usize): void {
  for (let i = count; (i & 3) !== 0; i++) store<f32>(x + i * 4, 0);
}

/** Σ x·y. */
export function sumOfProducts(x: usize, y: usize, count: usize): f64 {
  let even = f64x2.splat(0);
  let odd = even;
  for (let i: usize = 0; i < count; i += 4) {
    const at = x + i * 4;
    const other = y + i * 4;
    even = f64x2.add(even, f64x2.mul(two(at), two(other)));
    odd = f64x2.add(odd, f64x2.mul(two(at + 8), two(other + 8)));
  }
  return total(f64x2.add(even, odd));
}

/** Σ |x|. */
export function sumOfMagnitudes(x: usize, count: usize): f64 {
  let even = f64x2.splat(0);
  let odd = even;
  for (let i: usize = 0; i < count; i += 4) {
    even = f64x2.add(even, f64x2.abs(two(x + i * 4)));
    odd = f64x2.add(odd, f64x2.abs(two(x + i * 4 + 8)));
  }
  return total(f64x2.add(even, odd));
}

/** How many are not zero. */
export function nonZeros(x: usize, count: usize): f64 {
  let sum = i32x4.splat(0);
  for (let i: usize = 0; i < count; i += 4) {
    sum = i32x4.sub(sum, f32x4.ne(v128.load(x + i * 4), f32x4.splat(0)));
  }
  return <f64>(
    (i32x4.extract_lane(sum, 0) +
      i32x4.extract_lane(sum, 1) +
      i32x4.extract_lane(sum, 2) +
      i32x4.extract_lane(sum, 3))
  );
}

/** Two floats as doubles. */
function two(x: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(x));
}

function total(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}
