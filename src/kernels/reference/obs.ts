import type { ObsMask, QuantizationGrid, QuantizedMatrix } from "../kernels.ts";
import { smallest } from "./select.ts";

/** SparseGPT, Algorithm 1: see {@link Kernels.obsPrune}. */
export function obsPrune(
  weight: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  mask: ObsMask,
): Float32Array {
  const w = Float64Array.from(weight);
  const pruned = mask.kind === "given" ? mask.pruned : new Uint8Array(m * n);
  const block = (from: number, to: number) => {
    if (mask.kind === "unstructured") markBlock(pruned, w, u, m, n, from, to, mask.ratio);
  };
  const column = (j: number) => {
    if (mask.kind === "n:m" && j % mask.group === 0) markGroup(pruned, w, u, m, n, j, mask.zeros, mask.group);
  };
  walk(w, u, m, n, obsBlock(mask), block, column, (at) => (pruned[at] === 1 ? 0 : w[at]!));
  return Float32Array.from(w);
}

/** GPTQ, Algorithm 1: see {@link Kernels.obsQuantize}. */
export function obsQuantize(
  weight: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  grid: QuantizationGrid,
): QuantizedMatrix {
  const w = Float64Array.from(weight);
  const codes = new Int8Array(m * n);
  const groups = Math.ceil(n / grid.group);
  const nothing = () => {};
  walk(w, u, m, n, grid.blockSize, nothing, nothing, (at, row, column) => {
    const scale = grid.scales[row * groups + Math.floor(column / grid.group)]!;
    if (scale === 0 || (grid.keepZeros && weight[at] === 0)) return 0;
    codes[at] = Math.min(grid.most, Math.max(grid.least, roundHalfEven(w[at]! / scale)));
    return Math.fround(scale * codes[at]!);
  });
  return { codes, values: Float32Array.from(w) };
}

/** Columns of a block: whole groups of an N:M pattern, since a group is chosen before its first column is walked. */
export function obsBlock(mask: ObsMask): number {
  if (mask.kind !== "n:m") return mask.blockSize;
  return Math.max(1, Math.floor(mask.blockSize / mask.group)) * mask.group;
}

/**
 * Walks the columns left to right, replaces each entry by `replace` and takes err · U_j,: off the columns to the right,
 * where err = (w − replacement) / U_jj: inside the block at once, beyond it when the block is done.
 */
function walk(
  w: Float64Array,
  u: Float32Array,
  m: number,
  n: number,
  blockSize: number,
  enterBlock: (from: number, to: number) => void,
  enterColumn: (column: number) => void,
  replace: (at: number, row: number, column: number) => number,
): void {
  for (let from = 0; from < n; from += blockSize) {
    const to = Math.min(n, from + blockSize);
    const errors = new Float64Array(m * (to - from));
    enterBlock(from, to);
    for (let j = from; j < to; j++) {
      enterColumn(j);
      for (let i = 0; i < m; i++) {
        const value = replace(i * n + j, i, j);
        const error = (w[i * n + j]! - value) / u[j * n + j]!;
        w[i * n + j] = value;
        errors[i * (to - from) + j - from] = error;
        for (let k = j + 1; k < to; k++) w[i * n + k]! -= error * u[j * n + k]!;
      }
    }
    for (let i = 0; i < m; i++) {
      for (let j = from; j < to; j++) {
        const error = errors[i * (to - from) + j - from]!;
        for (let k = to; k < n; k++) w[i * n + k]! -= error * u[j * n + k]!;
      }
    }
  }
}

/** Marks the share `ratio` of a block's entries of smallest |w|/U_jj; shares of all blocks add up to that of W. */
function markBlock(
  pruned: Uint8Array,
  w: Float64Array,
  u: Float32Array,
  m: number,
  n: number,
  from: number,
  to: number,
  ratio: number,
): void {
  const width = to - from;
  const scores = Float32Array.from({ length: m * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), from + (i % width)];
    return Math.abs(w[row * n + column]!) / u[column * n + column]!;
  });
  const count = Math.round(ratio * m * to) - Math.round(ratio * m * from);
  smallest(scores, count).forEach((mark, i) => {
    pruned[Math.floor(i / width) * n + from + (i % width)] = mark;
  });
}

/** Marks in each row the `zeros` entries of smallest |w|/U_jj of the group that starts at a column, if it is whole. */
function markGroup(
  pruned: Uint8Array,
  w: Float64Array,
  u: Float32Array,
  m: number,
  n: number,
  start: number,
  zeros: number,
  group: number,
): void {
  if (start + group > n) return;
  for (let i = 0; i < m; i++) {
    const score = (g: number) => Math.abs(w[i * n + start + g]!) / u[(start + g) * n + start + g]!;
    const order = Array.from({ length: group }, (_, g) => g).sort((a, b) => score(a) - score(b) || a - b);
    for (const g of order.slice(0, zeros)) pruned[i * n + start + g] = 1;
  }
}

/** As ONNX's QuantizeLinear rounds. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}
