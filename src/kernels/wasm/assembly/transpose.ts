/**
 * Blocks of rows turned into columns and back, four rows by four columns at a time. `stride` is what lies between two columns of
 * a block, in floats; n what lies between two rows of the matrix.
 */

/** The block transposed, four rows and four columns at a time; rows beyond the last are zero. */
export function takeBlock(w: usize, m: usize, n: usize, columns: usize, width: usize, stride: usize): void {
  for (let r: usize = 0; r < m; r += 4) {
    for (let j: usize = 0; j < width; j += 4) {
      const from = w + (r * n + j) * 4;
      const to = columns + (j * stride + r) * 4;
      if (r + 4 <= m && j + 4 <= width) transposeFour(from, n * 4, to, stride * 4);
      else {
        for (let q: usize = 0; q < min<usize>(4, width - j); q++) {
          for (let i: usize = 0; i < 4; i++) {
            store<f32>(to + (q * stride + i) * 4, r + i < m ? load<f32>(from + (i * n + q) * 4) : 0);
          }
        }
      }
    }
  }
}

/** The inverse of {@link takeBlock}. */
export function putBlock(w: usize, m: usize, n: usize, columns: usize, width: usize, stride: usize): void {
  for (let r: usize = 0; r < m; r += 4) {
    for (let j: usize = 0; j < width; j += 4) {
      const to = w + (r * n + j) * 4;
      const from = columns + (j * stride + r) * 4;
      if (r + 4 <= m && j + 4 <= width) transposeFour(from, stride * 4, to, n * 4);
      else {
        for (let q: usize = 0; q < min<usize>(4, width - j); q++) {
          for (let i: usize = 0; i < min<usize>(4, m - r); i++) {
            store<f32>(to + (i * n + q) * 4, load<f32>(from + (q * stride + i) * 4));
          }
        }
      }
    }
  }
}

function transposeFour(from: usize, fromBytes: usize, to: usize, toBytes: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + fromBytes);
  const c = v128.load(from + 2 * fromBytes);
  const d = v128.load(from + 3 * fromBytes);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2));
  v128.store(to + toBytes, v128.shuffle<f64>(ab, cd, 1, 3));
  v128.store(to + 2 * toBytes, v128.shuffle<f64>(abHigh, cdHigh, 0, 2));
  v128.store(to + 3 * toBytes, v128.shuffle<f64>(abHigh, cdHigh, 1, 3));
}

/** All bits set where a byte is 1; rows beyond the last are not defined. */
export function takeMarks(
  marks: usize,
  m: usize,
  n: usize,
  zeroed: usize,
  width: usize,
  stride: usize,
): void {
  for (let r: usize = 0; r < m; r += 4) {
    for (let j: usize = 0; j < width; j += 4) {
      const from = marks + r * n + j;
      const to = zeroed + (j * stride + r) * 4;
      if (r + 4 <= m && j + 4 <= width) {
        const rows = loadFour(from, n);
        const columns = v128.shuffle<i8>(rows, rows, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const low = i16x8.extend_low_i8x16_s(i8x16.neg(columns));
        const high = i16x8.extend_high_i8x16_s(i8x16.neg(columns));
        v128.store(to, i32x4.extend_low_i16x8_s(low));
        v128.store(to + stride * 4, i32x4.extend_high_i16x8_s(low));
        v128.store(to + stride * 8, i32x4.extend_low_i16x8_s(high));
        v128.store(to + stride * 12, i32x4.extend_high_i16x8_s(high));
      } else {
        for (let q: usize = 0; q < min<usize>(4, width - j); q++) {
          for (let i: usize = 0; i < min<usize>(4, m - r); i++) {
            store<i32>(to + (q * stride + i) * 4, -(<i32>load<u8>(from + i * n + q)));
          }
        }
      }
    }
  }
}

/** Whole floats as bytes. */
export function putCodes(codes: usize, m: usize, n: usize, floats: usize, width: usize, stride: usize): void {
  for (let r: usize = 0; r < m; r += 4) {
    for (let j: usize = 0; j < width; j += 4) {
      const to = codes + r * n + j;
      const from = floats + (j * stride + r) * 4;
      if (r + 4 <= m && j + 4 <= width) {
        const left = i16x8.narrow_i32x4_s(integers(from), integers(from + stride * 4));
        const right = i16x8.narrow_i32x4_s(integers(from + stride * 8), integers(from + stride * 12));
        const columns = i8x16.narrow_i16x8_s(left, right);
        const rows = v128.shuffle<i8>(columns, columns, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        v128.store32_lane(to, rows, 0);
        v128.store32_lane(to + n, rows, 1);
        v128.store32_lane(to + 2 * n, rows, 2);
        v128.store32_lane(to + 3 * n, rows, 3);
      } else {
        for (let q: usize = 0; q < min<usize>(4, width - j); q++) {
          for (let i: usize = 0; i < min<usize>(4, m - r); i++) {
            store<i8>(to + i * n + q, <i8>load<f32>(from + (q * stride + i) * 4));
          }
        }
      }
    }
  }
}

function integers(floats: usize): v128 {
  return i32x4.trunc_sat_f32x4_s(v128.load(floats));
}

/** Four bytes of each of four rows. */
function loadFour(from: usize, n: usize): v128 {
  const first = v128.load32_zero(from);
  const second = v128.load32_lane(from + n, first, 1);
  const third = v128.load32_lane(from + 2 * n, second, 2);
  return v128.load32_lane(from + 3 * n, third, 3);
}
