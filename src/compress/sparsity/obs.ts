import { smallest } from "../../kernels/reference/select.ts";
import type { LayerHessian } from "./hessian.ts";
import { markZeros, masked } from "./pattern.ts";
import type { PruningPattern } from "./request.ts";

/** Columns that are chosen together, as SparseGPT has them. */
const BLOCK_SIZE = 128;

/**
 * Optimal brain surgeon as in SparseGPT (Frantar & Alistarh, 2023, Algorithm 1): unstructured masks are chosen a block of
 * columns at a time with equal shares, N:M masks group by group, both on weights that carry the errors of the columns to
 * their left. Blocks of 1 × m are chosen beforehand by w²/[H⁻¹]_cc.
 *
 * @param w rows × n in walk order; it is not changed
 */
export function obsPruned(
  w: Float32Array,
  rows: number,
  hessian: LayerHessian,
  pattern: PruningPattern,
): Float32Array {
  const { n, kernels } = hessian;
  const saliency = saliencies(w, hessian);
  const shape = { rows, columns: n, segment: hessian.segment };
  // With nothing but a diagonal there is no column to push an error onto, and the smallest saliencies are optimal.
  if (hessian.matrix === null) return masked(w, markZeros(saliency, shape, pattern));
  const u = hessian.inverseFactor();
  const given = (pruned: Uint8Array) =>
    kernels.obsPrune(w, u, rows, n, { kind: "given", pruned, blockSize: BLOCK_SIZE });
  if (pattern.kind === "n:m" && hessian.segment % pattern.of === 0) {
    const { keep, of } = pattern;
    return kernels.obsPrune(w, u, rows, n, {
      kind: "n:m",
      zeros: of - keep,
      group: of,
      blockSize: BLOCK_SIZE,
    });
  }
  if (pattern.kind !== "unstructured") return given(markZeros(saliency, shape, pattern));
  const zeros = pattern.zeros ?? 0;
  const walked = kernels.obsPrune(w, u, rows, n, {
    kind: "unstructured",
    ratio: zeros / w.length,
    blockSize: BLOCK_SIZE,
  });
  if (walked.reduce((count, value) => count + (value === 0 ? 1 : 0), 0) === zeros) return walked;
  return given(nearestMask(w, walked, saliency, zeros));
}

/** |w| / √[H⁻¹]_cc: root of twice the error that zeroing the entry alone costs. */
function saliencies(w: Float32Array, hessian: LayerHessian): Float32Array {
  const roots = hessian.inverseDiagonal().map(Math.sqrt);
  return w.map((value, i) => Math.abs(value) / roots[i % hessian.n]!);
}

/**
 * Exactly `zeros` marks where a walk gave another number, because W had zeros of its own: those first, then what the
 * walk made zero, then the rest, each by saliency.
 */
function nearestMask(
  w: Float32Array,
  walked: Float32Array,
  saliency: Float32Array,
  zeros: number,
): Uint8Array {
  const largest = saliency.reduce((most, value) => Math.max(most, value), 0);
  const share = (i: number) => 1 + saliency[i]! / (largest || 1);
  return smallest(
    w.map((value, i) => (value === 0 ? 0 : walked[i] === 0 ? share(i) : share(i) + 2)),
    zeros,
  );
}
