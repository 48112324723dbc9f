import type { LayerHessian } from "./hessian.ts";
import type { PruningPattern } from "./request.ts";

/** Multiply-accumulates that choosing one weight at a time may take: a second or two. */
const AFFORDABLE = 1.5e9;

/** Whether a matrix is small enough for {@link exactObsMask}, and the pattern one that it knows. */
export function choosesExactly(
  rows: number,
  { n, matrix, segment }: LayerHessian,
  pattern: PruningPattern,
): boolean {
  const known = pattern.kind === "unstructured" || (pattern.kind === "n:m" && segment % pattern.of === 0);
  return known && matrix !== null && (rows * n ** 3) / 3 <= AFFORDABLE;
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
  const { n } = hessian;
  const inverse = inverseOf(hessian);
  const marks = new Uint8Array(w.length);
  if (pattern.kind === "n:m") {
    const { keep, of } = pattern;
    for (let r = 0; r < rows; r++) {
      const gone = new Uint8Array(n / of);
      const full = (c: number) => gone[Math.floor(c / of)]! >= of - keep;
      for (const { column } of removals(w.subarray(r * n, (r + 1) * n), inverse, full)) {
        gone[Math.floor(column / of)]!++;
        marks[r * n + column] = 1;
      }
    }
    return marks;
  }
  const zeros = pattern.kind === "unstructured" ? (pattern.zeros ?? 0) : 0;
  const losses = new Float64Array(w.length);
  const places = new Int32Array(w.length);
  for (let r = 0; r < rows; r++) {
    let step = r * n;
    let most = 0;
    for (const { column, loss } of removals(w.subarray(r * n, (r + 1) * n), inverse, () => false)) {
      // A row gives its weights in this order, so that none is cheaper than those before it.
      most = Math.max(most, loss);
      losses[step] = most;
      places[step++] = r * n + column;
    }
  }
  const cheapest = Uint32Array.from(w.keys()).sort((a, b) => losses[a]! - losses[b]! || a - b);
  for (const step of cheapest.subarray(0, zeros)) marks[places[step]!] = 1;
  return marks;
}

/** H⁻¹ in double precision. */
function inverseOf(hessian: LayerHessian): Float64Array {
  const { n } = hessian;
  const u = hessian.inverseFactor();
  const inverse = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    for (let i = k; i < n; i++) {
      const left = u[k * n + i]!;
      if (left === 0) continue;
      for (let j = k; j < n; j++) inverse[i * n + j]! += left * u[k * n + j]!;
    }
  }
  return inverse;
}

/** The weights of one row in the order in which they go, each with what it costs then. */
function* removals(
  row: Float32Array,
  inverse: Float64Array,
  stays: (column: number) => boolean,
): Generator<{ column: number; loss: number }> {
  const n = row.length;
  const w = Float64Array.from(row);
  const h = inverse.slice();
  let active = Int32Array.from(w.keys());
  while (active.length > 0) {
    let at = -1;
    let loss = Number.POSITIVE_INFINITY;
    for (let i = 0; i < active.length; i++) {
      const c = active[i]!;
      const cost = w[c]! ** 2 / h[c * n + c]!;
      if (cost < loss && !stays(c)) {
        loss = cost;
        at = i;
      }
    }
    if (at < 0) return;
    const p = active[at]!;
    active = active.filter((c) => c !== p);
    const pivot = h[p * n + p]!;
    const share = w[p]! / pivot;
    for (const i of active) {
      const left = h[i * n + p]! / pivot;
      w[i]! -= share * h[i * n + p]!;
      if (left === 0) continue;
      for (const j of active) h[i * n + j]! -= left * h[p * n + j]!;
    }
    yield { column: p, loss };
  }
}
