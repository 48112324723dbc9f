import { ALL, gemm } from "./gemm";
import { smallest } from "./select";
import { putBlock, putCodes, takeBlock, takeMarks } from "./transpose";

/** How an entry's replacement is found. */
export const UNSTRUCTURED: i32 = 0;
export const GROUPS: i32 = 1;
export const GIVEN: i32 = 2;
export const QUANTIZE: i32 = 3;

/** Columns that are walked one by one before the rest of the block is updated by a matrix product. */
const WALK: usize = 16;
/** Rows that are walked together: a cache line, and four chains of divisions that need not wait for each other. */
const ROWS: usize = 16;

/** Floats from one column of a block to the next: whole vectors, and never a multiple of the cache's page. */
function strideOf(m: usize): usize {
  return ((m + 3) & ~3) + 16;
}

/** Floats of `work` that {@link walkColumns} needs. */
export function obsWork(m: usize, n: usize, block: usize): usize {
  return strideOf(m) * (3 * min(block, n) + 1);
}

/**
 * Optimal-brain-surgeon walk over the columns of W (m × n), in place (SparseGPT, Algorithm 1; GPTQ, Algorithm 1).
 *
 * A block of columns is held transposed, so that one vector is four rows of one column: no row depends on another. The
 * errors of a block reach the columns to its right by one matrix product, those of 16 columns the rest of the block
 * by another.
 *
 * @param marks m × n bytes, 1 where zero is given; 0 for none
 * @param ratio share of a block that is pruned, UNSTRUCTURED
 * @param zeros of every `group` entries, GROUPS
 * @param group columns that share a choice (GROUPS) or a scale (QUANTIZE)
 * @param scales m × ceil(n / group), QUANTIZE
 * @param codes m × n bytes that are written, QUANTIZE
 */
export function walkColumns(
  w: usize,
  u: usize,
  m: usize,
  n: usize,
  block: usize,
  kind: i32,
  marks: usize,
  ratio: f64,
  zeros: i32,
  group: usize,
  scales: usize,
  least: f32,
  most: f32,
  codes: usize,
  work: usize,
): void {
  const stride = strideOf(m);
  const step = kind === GROUPS ? max<usize>(1, WALK / group) * group : WALK;
  const columns = work;
  const errors = columns + stride * min(block, n) * 4;
  const zeroed = errors + stride * min(block, n) * 4;
  const current = zeroed + stride * min(block, n) * 4;
  for (let from: usize = 0; from < n; from += block) {
    const to = min(n, from + block);
    const width = to - from;
    const diagonal = u + from * (n + 1) * 4;
    takeBlock(w + from * 4, m, n, columns, width, stride);
    memory.fill(zeroed, 0, width * stride * 4);
    if (marks !== 0) takeMarks(marks + from, m, n, zeroed, width, stride);
    if (kind === UNSTRUCTURED) {
      const count = <usize>(floor(ratio * <f64>m * <f64>to + 0.5) - floor(ratio * <f64>m * <f64>from + 0.5));
      score(columns, diagonal, n, m, zeroed, width, stride);
      smallest(zeroed, m, width, stride, count);
    }
    for (let p: usize = 0; p < width; ) {
      let end = min(width, p + step);
      if (kind === QUANTIZE) {
        const chosen = (from + p) / group;
        end = min(end, (chosen + 1) * group - from);
        if (p === 0 || (from + p) % group === 0) {
          takeScales(scales + chosen * 4, m, (n + group - 1) / group, current);
        }
      }
      for (let top: usize = 0; top < m; top += ROWS) {
        for (let j = p; j < end; j++) {
          const row = diagonal + j * (n + 1) * 4;
          const bottom = min(m, top + ROWS);
          if (kind === GROUPS && (from + j) % group === 0 && from + j + group <= n) {
            for (let r = top; r < bottom; r += 4) {
              const at = (j * stride + r) * 4;
              rank(columns + at, row, n, zeroed + at, stride, group, zeros);
            }
          }
          for (let r = top; r < bottom; r += 4) {
            const at = (j * stride + r) * 4;
            const value = v128.load(columns + at);
            const zero = v128.load(zeroed + at);
            let kept = v128.andnot(value, zero);
            if (kind === QUANTIZE) {
              const scale = v128.load(current + r * 4);
              const code = v128.andnot(codesOf(value, scale, least, most), zero);
              v128.store(zeroed + at, code);
              kept = f32x4.mul(scale, code);
            }
            const error = f32x4.div(f32x4.sub(value, kept), v128.load32_splat(row));
            v128.store(columns + at, kept);
            v128.store(errors + at, error);
            pushRight(error, row + 4, columns + at + stride * 4, stride * 4, end - j - 1);
          }
        }
      }
      const rest = columns + end * stride * 4;
      const right = diagonal + (p * n + end) * 4;
      const pushed = errors + p * stride * 4;
      gemm<f32>(
        width - end,
        (m + 3) & ~3,
        end - p,
        right,
        1,
        n,
        pushed,
        stride,
        1,
        rest,
        stride,
        -1,
        true,
        ALL,
      );
      p = end;
    }
    putBlock(w + from * 4, m, n, columns, width, stride);
    if (kind === QUANTIZE) putCodes(codes + from, m, n, zeroed, width, stride);
    gemm<f32>(
      m,
      n - to,
      width,
      errors,
      1,
      stride,
      u + (from * n + to) * 4,
      n,
      1,
      w + to * 4,
      n,
      -1,
      true,
      ALL,
    );
  }
}

/** Takes error · U_j,: off the next `count` columns of the same four rows. */
function pushRight(error: v128, u: usize, column: usize, bytes: usize, count: usize): void {
  const end = u + count * 4;
  while (u < end) {
    v128.store(column, f32x4.relaxed_nmadd(error, v128.load32_splat(u), v128.load(column)));
    column += bytes;
    u += 4;
  }
}

/** round(w / scale), half to even, within the grid; 0 where the scale is 0. The sum makes a zero positive. */
function codesOf(w: v128, scale: v128, least: f32, most: f32): v128 {
  const code = f32x4.nearest(f32x4.div(w, scale));
  const clamped = f32x4.pmin(f32x4.pmax(code, f32x4.splat(least)), f32x4.splat(most));
  const zero = f32x4.splat(0);
  return v128.and(f32x4.add(clamped, zero), f32x4.ne(scale, zero));
}

/** One group's scale of every row; 0 up to a whole vector. */
function takeScales(scales: usize, m: usize, groups: usize, current: usize): void {
  for (let r: usize = 0; r < ((m + 3) & ~3); r++) {
    store<f32>(current + r * 4, r < m ? load<f32>(scales + r * groups * 4) : 0);
  }
}

/** Marks in four rows the `zeros` of `group` entries of smallest |w| / U_jj, of equals those to the left. */
function rank(
  column: usize,
  diagonal: usize,
  n: usize,
  zeroed: usize,
  stride: usize,
  group: usize,
  zeros: i32,
): void {
  for (let i: usize = 0; i < group; i++) {
    const own = scoreOf(column + i * stride * 4, diagonal + i * (n + 1) * 4);
    let before = i32x4.splat(0);
    for (let j: usize = 0; j < group; j++) {
      const other = scoreOf(column + j * stride * 4, diagonal + j * (n + 1) * 4);
      if (j !== i) before = i32x4.sub(before, j < i ? f32x4.le(other, own) : f32x4.lt(other, own));
    }
    v128.store(zeroed + i * stride * 4, i32x4.lt_s(before, i32x4.splat(zeros)));
  }
}

function scoreOf(column: usize, diagonal: usize): v128 {
  return f32x4.div(f32x4.abs(v128.load(column)), v128.load32_splat(diagonal));
}

/** |w| / U_jj of a block. */
function score(
  columns: usize,
  diagonal: usize,
  n: usize,
  m: usize,
  scores: usize,
  width: usize,
  stride: usize,
): void {
  for (let j: usize = 0; j < width; j++) {
    for (let r: usize = 0; r < m; r += 4) {
      const at = (j * stride + r) * 4;
      v128.store(scores + at, scoreOf(columns + at, diagonal + j * (n + 1) * 4));
    }
  }
}
