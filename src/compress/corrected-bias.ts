import type { InputMoments } from "./input-moments.ts";
import type { MatrixLayout } from "./layer-matrix.ts";

/**
 * b + (W − Ŵ)·E[x]: the bias that takes up the mean of a layer's change.
 *
 * @param bias one a row of all matrices
 * @param original count × rows × columns, as `changed`
 * @param moments one a matrix; where it is null its biases stay
 */
export function correctedBias(
  bias: Float32Array,
  original: Float32Array,
  changed: Float32Array,
  { count, rows, columns }: MatrixLayout,
  moments: readonly (InputMoments | null)[],
): Float32Array {
  const moved = bias.slice();
  for (let index = 0; index < count; index++) {
    const mean = moments[index]?.mean;
    if (!mean) continue;
    for (let r = 0; r < rows; r++) {
      const at = (index * rows + r) * columns;
      let shift = 0;
      for (let c = 0; c < columns; c++) shift += (original[at + c]! - changed[at + c]!) * mean[c]!;
      moved[index * rows + r]! += shift;
    }
  }
  return moved;
}
