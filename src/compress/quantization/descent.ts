import type { Kernels } from "../../kernels/kernels.ts";
import { codeOf, type Grid, gridValue, gridValues, steps } from "./grid.ts";

/**
 * Coordinate descent on tr((Ŵ−W)·H·(Ŵ−W)ᵀ) (QuantEase, Algorithm 1; CDQuant): each entry in turn goes to the level
 * that is best given all the others, until a sweep changes nothing. The error never increases. Changes `codes`.
 *
 * @param w rows × columns
 * @param h columns × columns, symmetric
 * @param frozen entries that stay; null where none do
 */
export function descend(
  codes: Uint8Array,
  w: Float32Array,
  grid: Grid,
  h: Float32Array,
  frozen: Uint8Array | null,
  sweeps: number,
  kernels: Kernels,
): void {
  const { rows, columns, levels } = grid;
  const values = gridValues(grid, codes);
  const step = steps(grid);
  const difference = values.map((value, i) => value - w[i]!);
  const pull = kernels.matmul(difference, h, rows, columns, columns);
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    for (let sweep = 0; sweep < sweeps; sweep++) {
      let changed = false;
      for (let j = 0; j < columns; j++) {
        const at = from + j;
        if (frozen?.[at] === 1 || step[at] === 0) continue;
        const code = codeOf(levels, values[at]! - pull[at]! / h[j * columns + j]!, step[at]!);
        if (code === codes[at]) continue;
        const value = gridValue(grid, code, row, j);
        const delta = value - values[at]!;
        // Rounding may have made it no better: the change in error, δ²·h_jj + 2·δ·p_j.
        if (delta * (delta * h[j * columns + j]! + 2 * pull[at]!) >= 0) continue;
        const base = j * columns;
        for (let k = 0; k < columns; k++) pull[from + k]! += delta * h[base + k]!;
        codes[at] = code;
        values[at] = value;
        changed = true;
      }
      if (!changed) break;
    }
  }
}
