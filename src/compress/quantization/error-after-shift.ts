import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { type InputMoments, layerError, quadratic } from "../input-moments.ts";

/**
 * The layer error (see {@link layerError}) of a matrix whose layer's bias takes up the mean of the change:
 * (tr(ΔW·G·ΔWᵀ) − ‖biasShift‖²) / tr(W·G·Wᵀ), never below zero.
 *
 * @param biasShift −ΔW·E[x]; null where the bias stays
 */
export function errorAfterShift(
  original: FloatArray,
  changed: FloatArray,
  rows: number,
  columns: number,
  moments: InputMoments | null,
  biasShift: Float32Array | null,
): number {
  const error = layerError(original, changed, rows, columns, moments);
  if (biasShift === null || error === 0) return error;
  const total = quadratic(original, rows, columns, moments);
  if (total === 0) return error;
  const taken = biasShift.reduce((sum, shift) => sum + shift * shift, 0);
  return Math.max(0, error - taken / total);
}
