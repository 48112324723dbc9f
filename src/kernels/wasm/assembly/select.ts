import { BINS } from "./memory";

/** The 31 bits of a magnitude in three passes: the first by exponent and 5 bits more, so that few are left to the others. */
const FIRST_BITS: i32 = 13;
const OTHER_BITS: i32 = 9;

/**
 * Turns the non-negative floats of a block (m rows, `width` columns, column by column) into marks: all bits set in the
 * `many` smallest, of equals in those that come first row by row, and none elsewhere.
 */
export function smallest(scores: usize, m: usize, width: usize, stride: usize, many: usize): void {
  let prefix: u32 = 0;
  let rest = many;
  let equals: usize = 0;
  for (let shift = 2 * OTHER_BITS; shift >= 0; shift -= OTHER_BITS) {
    const first = shift === 2 * OTHER_BITS;
    memory.fill(BINS, 0, 4 << (first ? FIRST_BITS : OTHER_BITS));
    for (let j: usize = 0; j < width; j++) {
      const column = scores + j * stride * 4;
      if (first) countAll(column, m, shift);
      else countOf(column, m, shift, prefix);
    }
    let bin: usize = 0;
    equals = load<u32>(BINS);
    while (rest > equals) {
      rest -= equals;
      bin++;
      equals = load<u32>(BINS + bin * 4);
    }
    prefix = (prefix << OTHER_BITS) | <u32>bin;
  }
  if (rest < equals) markTies(scores, m, width, stride, prefix, rest);
  const limit = i32x4.splat(prefix);
  const inclusive = rest === equals;
  for (let j: usize = 0; j < width; j++) {
    for (let r: usize = 0; r < m; r += 4) {
      const at = scores + (j * stride + r) * 4;
      const bits = v128.load(at);
      v128.store(at, inclusive ? i32x4.le_s(bits, limit) : i32x4.lt_s(bits, limit));
    }
  }
}

/** Lets the first `ties` of those equal to `bits` count as smaller. */
function markTies(scores: usize, m: usize, width: usize, stride: usize, bits: u32, ties: usize): void {
  for (let r: usize = 0; r < m; r++) {
    for (let j: usize = 0; j < width; j++) {
      if (ties === 0) return;
      const at = scores + (j * stride + r) * 4;
      if (load<u32>(at) !== bits) continue;
      store<i32>(at, -1);
      ties--;
    }
  }
}

function countAll(column: usize, m: usize, shift: i32): void {
  const end = column + m * 4;
  for (; column < end; column += 4) count(load<u32>(column) >> shift);
}

/** Counts by their next bits those that begin with `prefix`; four at a time, since most do not. */
function countOf(column: usize, m: usize, shift: i32, prefix: u32): void {
  const wanted = i32x4.splat(prefix);
  for (let r: usize = 0; r < m; r += 4) {
    const bits = v128.load(column + r * 4);
    if (!v128.any_true(i32x4.eq(i32x4.shr_u(bits, shift + OTHER_BITS), wanted))) continue;
    for (let i = r; i < min(m, r + 4); i++) {
      const own = load<u32>(column + i * 4);
      if (own >> (shift + OTHER_BITS) === prefix) count((own >> shift) & ((1 << OTHER_BITS) - 1));
    }
  }
}

function count(bin: u32): void {
  const at = BINS + ((<usize>bin) << 2);
  store<u32>(at, load<u32>(at) + 1);
}
