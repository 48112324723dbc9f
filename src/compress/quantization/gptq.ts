import type { Kernels } from "../../kernels/kernels.ts";
import { codeOf, type Grid, steps } from "./grid.ts";
import type { Objective } from "./objective.ts";

const BLOCK = 64;

/**
 * GPTQ (Algorithm 1 with act-order): columns are rounded in falling order of the diagonal of H, and each rounding
 * error is pushed onto the columns that follow. Scales are fixed beforehand.
 *
 * @returns codes, rows × columns, as indices of the grid's levels
 */
export function gptqCodes(
  w: Float32Array,
  grid: Grid,
  { order, factor }: Objective,
  keepZeros: boolean,
  kernels: Kernels,
): Uint8Array {
  if (factor === null) throw new RangeError("GPTQ needs second moments of the inputs");
  const { rows, columns, levels } = grid;
  const ordered = permuted(w, rows, columns, order);
  const scales = permuted(steps(grid), rows, columns, order);
  const codes = levels.uniform
    ? uniformCodes(ordered, scales, grid, factor, keepZeros, kernels)
    : walkedCodes(ordered, scales, grid, factor, keepZeros, kernels);
  const back = new Uint8Array(codes.length);
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < columns; j++) back[r * columns + order[j]!] = codes[r * columns + j]!;
  }
  return back;
}

function uniformCodes(
  w: Float32Array,
  scales: Float32Array,
  { rows, columns, levels }: Grid,
  factor: Float32Array,
  keepZeros: boolean,
  kernels: Kernels,
): Uint8Array {
  const least = levels.values[0]!;
  const { codes } = kernels.obsQuantize(w, factor, rows, columns, {
    least,
    most: levels.values.at(-1)!,
    scales,
    group: 1,
    keepZeros,
    blockSize: BLOCK,
  });
  return Uint8Array.from(codes, (code) => code - least);
}

/** The same walk for levels that are no grid of integers. */
function walkedCodes(
  weight: Float32Array,
  scales: Float32Array,
  { rows, columns: n, levels }: Grid,
  factor: Float32Array,
  keepZeros: boolean,
  kernels: Kernels,
): Uint8Array {
  const w = weight.slice();
  const codes = new Uint8Array(w.length);
  const zero = levels.values.indexOf(0);
  for (let from = 0; from < n; from += BLOCK) {
    const to = Math.min(n, from + BLOCK);
    const width = to - from;
    const errors = new Float32Array(rows * width);
    for (let r = 0; r < rows; r++) {
      for (let j = from; j < to; j++) {
        const at = r * n + j;
        codes[at] = keepZeros && weight[at] === 0 ? zero : codeOf(levels, w[at]!, scales[at]!);
        const error = (w[at]! - levels.values[codes[at]!]! * scales[at]!) / factor[j * n + j]!;
        errors[r * width + j - from] = error;
        for (let k = j + 1; k < to; k++) w[r * n + k]! -= error * factor[j * n + k]!;
      }
    }
    const right = n - to;
    if (right === 0) break;
    const rest = new Float32Array(width * right);
    for (let j = 0; j < width; j++) {
      rest.set(factor.subarray((from + j) * n + to, (from + j + 1) * n), j * right);
    }
    const pushed = kernels.matmul(errors, rest, rows, width, right);
    for (let r = 0; r < rows; r++) {
      for (let k = 0; k < right; k++) w[r * n + to + k]! -= pushed[r * right + k]!;
    }
  }
  return codes;
}

function permuted(w: Float32Array, rows: number, columns: number, order: Uint32Array): Float32Array {
  const to = new Float32Array(w.length);
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < columns; j++) to[r * columns + j] = w[r * columns + order[j]!]!;
  }
  return to;
}
