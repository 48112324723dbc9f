import type { InputMoments } from "./input-moments.ts";

/** The columns of W, rows × columns, taken in another order. */
export function columnsIn(order: Int32Array, w: Float32Array, rows: number): Float32Array {
  const n = order.length;
  const to = new Float32Array(w.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < n; c++) to[r * n + c] = w[r * n + order[c]!]!;
  return to;
}

/** The inverse of {@link columnsIn}. */
export function columnsBack(order: Int32Array, w: Float32Array, rows: number): Float32Array {
  const n = order.length;
  const to = new Float32Array(w.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < n; c++) to[r * n + order[c]!] = w[r * n + c]!;
  return to;
}

/** The moments of features taken in another order. */
export function momentsIn(order: Int32Array, moments: InputMoments): InputMoments {
  const { n, gram } = moments;
  const list = (from: Float32Array) => Float32Array.from(order, (at) => from[at]!);
  const moved = gram ? new Float32Array(gram.length) : null;
  if (gram && moved) {
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < n; c++) moved[r * n + c] = gram[order[r]! * n + order[c]!]!;
    }
  }
  return { ...moments, gram: moved, diagonal: list(moments.diagonal), mean: list(moments.mean) };
}
