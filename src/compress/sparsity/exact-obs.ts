import type { LayerHessian } from "./hessian.ts";
import type { PruningPattern } from "./request.ts";

/** Multiply-adds that choosing one weight at a time may take: about a second. */
const AFFORDABLE = 2.5e9;
/** Columns up to which it is done: three matrices of doubles, 32 MB. */
const MOST_COLUMNS = 1152;
/** Weights up to which they are sorted by what they cost. */
const MOST_WEIGHTS = 2 ** 18;

/** Whether a matrix is small enough for {@link exactObsMask}, and the pattern one that it knows. */
export function choosesExactly(
  rows: number,
  { n, matrix, segment }: LayerHessian,
  pattern: PruningPattern,
): boolean {
  const known = pattern.kind === "unstructured" || (pattern.kind === "n:m" && segment % pattern.of === 0);
  const small = n <= MOST_COLUMNS && rows * n <= MOST_WEIGHTS && (rows * n ** 3) / 6 <= AFFORDABLE;
  return known && small && matrix !== null;
}

/**
 * Zeros by the exact greedy of optimal brain compression (Frantar, Singh and Alistarh 2022, Algorithm 1): in every row the
 * weight of least w²/[H⁻¹]_cc goes, the others make up for it, its row and column leave H⁻¹, and so on. Unstructured zeros are
 * then shared out over the rows by what each would cost (Algorithm 2); N:M takes in each group until it is full.
 *
 * @param w rows × n in walk order
 * @returns 1 where a weight goes; what is left is to be refitted
 */
export function exactObsMask(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  pattern: PruningPattern,
): Uint8Array {
  const marks = new Uint8Array(w.length);
  if (pattern.kind === "n:m") {
    const { n, kernels } = hessian;
    const { keep, of } = pattern;
    const { columns } = kernels.obsOrder(w, hessian.inverseFactor(), rows, n, of - keep, of);
    const taken = columns.length / rows;
    for (const [i, column] of columns.entries()) marks[Math.floor(i / taken) * n + column] = 1;
    return marks;
  }
  const zeros = pattern.kind === "unstructured" ? (pattern.zeros ?? 0) : 0;
  for (const place of cheapestFirst(w, rows, hessian).subarray(0, zeros)) marks[place] = 1;
  return marks;
}

/** By the Hessian, the matrix that was last put in order: requests for few and for many of its zeros follow one another. */
const lastOrders = new WeakMap<LayerHessian, { readonly w: Float32Array; readonly order: Uint32Array }>();

/** All weights in the order in which they go. */
function cheapestFirst(w: Float32Array, rows: number, hessian: LayerHessian): Uint32Array {
  const last = lastOrders.get(hessian);
  if (last?.w.length === w.length && last.w.every((value, i) => value === w[i])) return last.order;
  const { n, kernels } = hessian;
  const { columns, losses } = kernels.obsOrder(w, hessian.inverseFactor(), rows, n, n, n);
  // A row gives its weights in its own order, so that none is cheaper than those before it.
  for (let i = 0; i < losses.length; i++) {
    if (i % n > 0) losses[i] = Math.max(losses[i]!, losses[i - 1]!);
  }
  const order = Uint32Array.from(w.keys())
    .sort((a, b) => losses[a]! - losses[b]! || a - b)
    .map((i) => i - (i % n) + columns[i]!);
  lastOrders.set(hessian, { w, order });
  return order;
}
