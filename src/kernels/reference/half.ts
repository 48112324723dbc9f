const MOST = 65504;
const LEAST = 2 ** -24;
/** Exponent below which numbers are subnormal, and bits behind the first. */
const LEAST_EXPONENT = -14;
const FRACTION_BITS = 10;

/** x as float32 rounded to float16, half to even; numbers other than zero stay so, and finite ones stay finite. */
export function roundedToHalf(x: number): number {
  if (x === 0) return 0;
  const size = Math.fround(Math.min(MOST, Math.max(LEAST, Math.abs(x))));
  const exponent = Math.max(LEAST_EXPONENT, Math.floor(Math.log2(size)));
  const unit = 2 ** (exponent - FRACTION_BITS);
  const below = Math.floor(size / unit);
  const rest = size / unit - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  return Math.sign(x) * unit * (up ? below + 1 : below);
}
