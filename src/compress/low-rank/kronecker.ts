import type { Kernels } from "../../kernels/kernels.ts";

/**
 * The first factor of every form, T = I_blocks ⊗ S ⊗ I_inner, by the shape of S: rows × columns. T maps the
 * blocks·columns·inner features of the layer's input to the blocks·rows·inner that its last factor multiplies.
 *
 * | form | blocks | columns | inner |
 * |---|---|---|---|
 * | kernel sharing | input channels | k² | 1 |
 * | low rank | 1 | all features | 1 |
 * | spatial | 1 | input channels · kernel along the axis | kernel along the others |
 * | Tucker-2 | 1 | input channels | k² |
 *
 * Products are arranged so that one call of a kernel does each.
 */
export interface Kronecker {
  readonly blocks: number;
  readonly columns: number;
  readonly inner: number;
}

/** X·Tᵀ: X of count × blocks·columns·inner gives count × blocks·rows·inner. */
export function applied(
  { blocks, columns, inner }: Kronecker,
  s: Float32Array,
  rows: number,
  x: Float32Array,
  count: number,
  kernels: Kernels,
): Float32Array {
  const each = innerLast(x, count * blocks, columns, inner);
  const product = kernels.matmulTransposed(each, s, count * blocks * inner, columns, rows);
  return innerLast(product, count * blocks, inner, rows);
}

/** Y·T: Y of count × blocks·rows·inner gives count × blocks·columns·inner. */
export function expanded(
  { blocks, columns, inner }: Kronecker,
  s: Float32Array,
  rows: number,
  y: Float32Array,
  count: number,
  kernels: Kernels,
): Float32Array {
  const each = innerLast(y, count * blocks, rows, inner);
  const product = kernels.matmul(each, s, count * blocks * inner, rows, columns);
  return innerLast(product, count * blocks, inner, columns);
}

/**
 * What ⟨Y·T(S), X⟩ is linear in S by: Σ over count, blocks and inner of y·xᵀ, rows × columns, for Y of
 * count × blocks·rows·inner and X of count × blocks·columns·inner.
 */
export function contracted(
  { blocks, columns, inner }: Kronecker,
  rows: number,
  y: Float32Array,
  x: Float32Array,
  count: number,
  kernels: Kernels,
): Float32Array {
  const length = count * blocks * inner;
  const left = featureFirst(y, count * blocks, rows, inner);
  const right = innerLast(x, count * blocks, columns, inner);
  return kernels.matmul(left, right, rows, length, columns);
}

/** Swaps the last two axes of outer × a × b. */
function innerLast(x: Float32Array, outer: number, a: number, b: number): Float32Array {
  if (a === 1 || b === 1) return x;
  const to = new Float32Array(x.length);
  for (let o = 0; o < outer; o++) {
    const at = o * a * b;
    for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) to[at + j * a + i] = x[at + i * b + j]!;
  }
  return to;
}

/** Moves the middle axis of outer × a × b to the front. */
function featureFirst(x: Float32Array, outer: number, a: number, b: number): Float32Array {
  const to = new Float32Array(x.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < a; i++) {
      for (let j = 0; j < b; j++) to[(i * outer + o) * b + j] = x[(o * a + i) * b + j]!;
    }
  }
  return to;
}
