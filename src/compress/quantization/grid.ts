import { type Levels, nearestLevel } from "./levels.ts";

/**
 * A matrix on a grid: entry (r, c) is levels[code]·scale[r, ⌊c/group⌋], multiplied in float32 as a
 * runtime does.
 */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly levels: Levels;
  /** Columns that share a scale; a divisor of the columns. */
  readonly group: number;
  /** rows × columns/group; a scale may be negative, and is zero where all its weights are. */
  readonly scales: Float32Array;
}

export function gridValue(grid: Grid, code: number, row: number, column: number): number {
  const { columns, group, scales, levels } = grid;
  return Math.fround(levels.values[code]! * scales[Math.floor((row * columns + column) / group)]!);
}

/** What a level of 1 stands for at each entry: rows × columns. */
export function steps({ rows, columns, group, scales }: Grid): Float32Array {
  const all = new Float32Array(rows * columns);
  for (let i = 0; i < scales.length; i++) all.fill(scales[i]!, i * group, (i + 1) * group);
  return all;
}

/** Index of the level nearest to w; of the one nearest to zero where the step is zero. */
export function codeOf(levels: Levels, w: number, step: number): number {
  return nearestLevel(levels, step === 0 ? 0 : w / step);
}

export function gridValues(grid: Grid, codes: Uint8Array): Float32Array {
  const { group, scales } = grid;
  const levels = grid.levels.values;
  const values = new Float32Array(codes.length);
  for (let i = 0; i < scales.length; i++) {
    const scale = scales[i]!;
    // The array rounds each product to float32.
    for (let at = i * group; at < (i + 1) * group; at++) values[at] = levels[codes[at]!]! * scale;
  }
  return values;
}
