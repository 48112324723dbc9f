/** What the kernels keep at the bottom of the memory during a call; all above {@link FREE} is the caller's to hand out. */

/** Largest blocks that a matrix product packs: A 96 × 256 for the second-level cache, B 256 × 512 for the third. */
export const BLOCK_ROWS: usize = 96;
export const BLOCK_DEPTH: usize = 256;
export const BLOCK_COLUMNS: usize = 512;

export const PACKED_A: usize = (__heap_base + 63) & ~63;
export const PACKED_B: usize = PACKED_A + BLOCK_ROWS * BLOCK_DEPTH * 8;
/** A tile that hangs over the edge of its matrix. */
export const EDGE: usize = PACKED_B + BLOCK_DEPTH * BLOCK_COLUMNS * 8;
/** Counts of a radix selection. */
export const BINS: usize = EDGE + 64 * 8;
export const FREE: usize = BINS + 8192 * 4;
