import { BINS } from "./memory";

/** Bits of each of the three passes of the radix selection over the 31 bits of a magnitude. */
const PASS_BITS: u32 = 11;
const BIN_COUNT: usize = 1 << PASS_BITS;

/**
 * Turns the non-negative floats of a block (m rows, `width` columns, column by column) into marks: all bits set in the
 * `count` smallest, of equals in those that come first row by row, and none elsewhere.
 */
export function smallest(scores: usize, m: usize, width: usize, stride: usize, count: usize): void {
  let prefix: u32 = 0;
  let rest = count;
  let equals: usize = 0;
  for (let shift: i32 = 22; shift >= 0; shift -= 11) {
    memory.fill(BINS, 0, BIN_COUNT * 4);
    for (let j: usize = 0; j < width; j++) {
      let at = scores + j * stride * 4;
      const end = at + m * 4;
      for (; at < end; at += 4) {
        const bits = load<u32>(at);
        if (shift < 22 && bits >> (shift + PASS_BITS) !== prefix) continue;
        const bin = BINS + (<usize>(bits >> shift) & (BIN_COUNT - 1)) * 4;
        store<u32>(bin, load<u32>(bin) + 1);
      }
    }
    let bin: usize = 0;
    equals = load<u32>(BINS);
    while (rest > equals) {
      rest -= equals;
      bin++;
      equals = load<u32>(BINS + bin * 4);
    }
    prefix = (prefix << PASS_BITS) | <u32>bin;
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
