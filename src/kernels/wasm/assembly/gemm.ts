import { BLOCK_COLUMNS, BLOCK_DEPTH, BLOCK_ROWS, EDGE, PACKED_A, PACKED_B } from "./memory";

/**
 * C = α·A·B or C += α·A·B after Goto and van de Geijn (ACM TOMS 34, 2008): blocks of B and of A are packed into strips
 * that the micro-kernel reads straight through. A and B are addressed by row and column strides, so that a transposed
 * matrix needs no copy. One source serves f32 and f64.
 */

/** Rows of a tile. With two vectors of columns it takes 12 accumulators, which leaves 16 registers no spills. */
const TILE_ROWS: usize = 6;

/** Which tiles of C are computed; those that cross the diagonal are computed whole. */
export const ALL: i32 = 0;
export const UPPER: i32 = 1;
export const LOWER: i32 = 2;

export function gemm<T>(
  m: usize,
  n: usize,
  k: usize,
  a: usize,
  aRow: usize,
  aColumn: usize,
  b: usize,
  bRow: usize,
  bColumn: usize,
  c: usize,
  cRow: usize,
  alpha: T,
  accumulate: bool,
  part: i32,
): void {
  if (!accumulate) {
    for (let i: usize = 0; i < m; i++) memory.fill(c + i * cRow * sizeof<T>(), 0, n * sizeof<T>());
  }
  for (let j: usize = 0; j < n; j += BLOCK_COLUMNS) {
    const width = min(BLOCK_COLUMNS, n - j);
    for (let p: usize = 0; p < k; p += BLOCK_DEPTH) {
      const depth = min(BLOCK_DEPTH, k - p);
      packB<T>(depth, width, b + (p * bRow + j * bColumn) * sizeof<T>(), bRow, bColumn);
      for (let i: usize = 0; i < m; i += BLOCK_ROWS) {
        const height = min(BLOCK_ROWS, m - i);
        if (part === UPPER && j + width <= i) break;
        if (part === LOWER && i + height <= j) continue;
        packA<T>(height, depth, a + (i * aRow + p * aColumn) * sizeof<T>(), aRow, aColumn, alpha);
        block<T>(height, width, depth, c + (i * cRow + j) * sizeof<T>(), cRow, part, i, j);
      }
    }
  }
}

/** All tiles of one packed block of A times one of B; `row` and `column` say where in C it lies. */
function block<T>(
  height: usize,
  width: usize,
  depth: usize,
  c: usize,
  cRow: usize,
  part: i32,
  row: usize,
  column: usize,
): void {
  const tileColumns: usize = 32 / sizeof<T>();
  const rowBytes = cRow * sizeof<T>();
  for (let j: usize = 0; j < width; j += tileColumns) {
    const packedB = PACKED_B + j * depth * sizeof<T>();
    const columns = min(tileColumns, width - j);
    for (let i: usize = 0; i < height; i += TILE_ROWS) {
      const rows = min(TILE_ROWS, height - i);
      if (part === UPPER && column + j + columns <= row + i) break;
      if (part === LOWER && row + i + rows <= column + j) continue;
      const packedA = PACKED_A + i * depth * sizeof<T>();
      const target = c + i * rowBytes + j * sizeof<T>();
      if (rows === TILE_ROWS && columns === tileColumns) {
        tile<T>(depth, packedA, packedB, target, rowBytes);
      } else {
        memory.fill(EDGE, 0, TILE_ROWS * 32);
        tile<T>(depth, packedA, packedB, EDGE, 32);
        for (let r: usize = 0; r < rows; r++) {
          for (let q: usize = 0; q < columns; q++) {
            const at = target + r * rowBytes + q * sizeof<T>();
            store<T>(at, load<T>(at) + load<T>(EDGE + r * 32 + q * sizeof<T>()));
          }
        }
      }
    }
  }
}

/**
 * The micro-kernel: 6 rows by two vectors of columns, added to C. It starts from C rather than from zero because V8 then
 * keeps all twelve sums in registers (46 against 23 GFLOP/s).
 */
function tile<T>(depth: usize, a: usize, b: usize, c: usize, rowBytes: usize): void {
  const row0 = c;
  const row1 = c + 1 * rowBytes;
  const row2 = c + 2 * rowBytes;
  const row3 = c + 3 * rowBytes;
  const row4 = c + 4 * rowBytes;
  const row5 = c + 5 * rowBytes;
  let c00 = v128.load(row0);
  let c01 = v128.load(row0, 16);
  let c10 = v128.load(row1);
  let c11 = v128.load(row1, 16);
  let c20 = v128.load(row2);
  let c21 = v128.load(row2, 16);
  let c30 = v128.load(row3);
  let c31 = v128.load(row3, 16);
  let c40 = v128.load(row4);
  let c41 = v128.load(row4, 16);
  let c50 = v128.load(row5);
  let c51 = v128.load(row5, 16);
  const end = a + depth * TILE_ROWS * sizeof<T>();
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load_splat<T>(a);
    c00 = v128.relaxed_madd<T>(x, b0, c00);
    c01 = v128.relaxed_madd<T>(x, b1, c01);
    x = v128.load_splat<T>(a, sizeof<T>());
    c10 = v128.relaxed_madd<T>(x, b0, c10);
    c11 = v128.relaxed_madd<T>(x, b1, c11);
    x = v128.load_splat<T>(a, 2 * sizeof<T>());
    c20 = v128.relaxed_madd<T>(x, b0, c20);
    c21 = v128.relaxed_madd<T>(x, b1, c21);
    x = v128.load_splat<T>(a, 3 * sizeof<T>());
    c30 = v128.relaxed_madd<T>(x, b0, c30);
    c31 = v128.relaxed_madd<T>(x, b1, c31);
    x = v128.load_splat<T>(a, 4 * sizeof<T>());
    c40 = v128.relaxed_madd<T>(x, b0, c40);
    c41 = v128.relaxed_madd<T>(x, b1, c41);
    x = v128.load_splat<T>(a, 5 * sizeof<T>());
    c50 = v128.relaxed_madd<T>(x, b0, c50);
    c51 = v128.relaxed_madd<T>(x, b1, c51);
    a += TILE_ROWS * sizeof<T>();
    b += 32;
  }
  v128.store(row0, c00);
  v128.store(row0, c01, 16);
  v128.store(row1, c10);
  v128.store(row1, c11, 16);
  v128.store(row2, c20);
  v128.store(row2, c21, 16);
  v128.store(row3, c30);
  v128.store(row3, c31, 16);
  v128.store(row4, c40);
  v128.store(row4, c41, 16);
  v128.store(row5, c50);
  v128.store(row5, c51, 16);
}

/** α·A in strips of 6 rows, each column by column; rows beyond the last are zero. */
function packA<T>(height: usize, depth: usize, a: usize, aRow: usize, aColumn: usize, alpha: T): void {
  const rowBytes = aRow * sizeof<T>();
  const columnBytes = aColumn * sizeof<T>();
  let to = PACKED_A;
  for (let i: usize = 0; i < height; i += TILE_ROWS) {
    const rows = min(TILE_ROWS, height - i);
    let from = a + i * rowBytes;
    for (let p: usize = 0; p < depth; p++) {
      if (rows === TILE_ROWS) {
        let at = from;
        store<T>(to, alpha * load<T>(at));
        at += rowBytes;
        store<T>(to, alpha * load<T>(at), sizeof<T>());
        at += rowBytes;
        store<T>(to, alpha * load<T>(at), 2 * sizeof<T>());
        at += rowBytes;
        store<T>(to, alpha * load<T>(at), 3 * sizeof<T>());
        at += rowBytes;
        store<T>(to, alpha * load<T>(at), 4 * sizeof<T>());
        at += rowBytes;
        store<T>(to, alpha * load<T>(at), 5 * sizeof<T>());
      } else {
        for (let r: usize = 0; r < TILE_ROWS; r++) {
          store<T>(to + r * sizeof<T>(), r < rows ? alpha * load<T>(from + r * rowBytes) : <T>0);
        }
      }
      from += columnBytes;
      to += TILE_ROWS * sizeof<T>();
    }
  }
}

/** B in strips of two vectors of columns, each row by row; columns beyond the last are zero. */
function packB<T>(depth: usize, width: usize, b: usize, bRow: usize, bColumn: usize): void {
  const tileColumns: usize = 32 / sizeof<T>();
  const rowBytes = bRow * sizeof<T>();
  const columnBytes = bColumn * sizeof<T>();
  let to = PACKED_B;
  for (let j: usize = 0; j < width; j += tileColumns) {
    const columns = min(tileColumns, width - j);
    let from = b + j * columnBytes;
    for (let p: usize = 0; p < depth; p++) {
      if (columns === tileColumns && bColumn === 1) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      } else {
        for (let q: usize = 0; q < tileColumns; q++) {
          store<T>(to + q * sizeof<T>(), q < columns ? load<T>(from + q * columnBytes) : <T>0);
        }
      }
      from += rowBytes;
      to += 32;
    }
  }
}
