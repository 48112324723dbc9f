import { type Levels, nearestLevel } from "./levels.ts";

/**
 * A matrix on a grid: entry (r, c) is levels[code]·scale[r, ⌊c/group⌋]·columnScale[c], multiplied in this order in
 * float32 as a runtime does.
 */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly levels: Levels;
  /** Columns that share a scale; a divisor of the columns. */
  readonly group: number;
  /** rows × columns/group; a scale may be negative, and is zero where all its weights are. */
  readonly scales: Float32Array;
  readonly columnScales: Float32Array | null;
}

export function gridValue(grid: Grid, code: number, row: number, column: number): number {
  const { columns, group, scales, columnScales, levels } = grid;
  const scale = scales[Math.floor((row * columns + column) / group)]!;
  const value = Math.fround(levels.values[code]! * scale);
  return columnScales ? Math.fround(value * columnScales[column]!) : value;
}

/** What a level of 1 stands for at each entry: rows × columns. */
export function steps({ rows, columns, group, scales, columnScales }: Grid): Float32Array {
  const all = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = r * columns + c;
      all[at] = scales[Math.floor(at / group)]! * (columnScales ? columnScales[c]! : 1);
    }
  }
  return all;
}

/** Index of the level nearest to w; of the one nearest to zero where the step is zero. */
export function codeOf(levels: Levels, w: number, step: number): number {
  return nearestLevel(levels, step === 0 ? 0 : w / step);
}

export function gridValues(grid: Grid, codes: Uint8Array): Float32Array {
  const { rows, columns, group, scales, columnScales, levels } = grid;
  const values = new Float32Array(codes.length);
  for (let at = 0, r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, at++) {
      // The array rounds each product to float32.
      values[at] = levels.values[codes[at]!]! * scales[Math.floor(at / group)]!;
      if (columnScales) values[at]! *= columnScales[c]!;
    }
  }
  return values;
}
