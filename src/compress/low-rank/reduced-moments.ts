import type { Kernels } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";
import { applied, type Kronecker } from "./kronecker.ts";
import { symmetric, transposed } from "./metric.ts";

/**
 * Moments of T·x, which is what the last factor of W ≈ A·T multiplies: T·G·Tᵀ and T·mean, T = I ⊗ S ⊗ I. With them A
 * is pruned and quantised as any other matrix. Where only the diagonal of G is known, features count as uncorrelated.
 *
 * @param first S: rank × columns
 */
export function reducedMoments(
  moments: Pick<InputMoments, "gram" | "diagonal" | "mean" | "count">,
  kronecker: Kronecker,
  first: Float32Array,
  rank: number,
  kernels: Kernels,
): InputMoments {
  const { count, gram } = moments;
  const { blocks, inner } = kronecker;
  const n = blocks * rank * inner;
  const mean = applied(kronecker, first, rank, moments.mean, 1, kernels);
  if (!gram) {
    const squares = first.map((one) => one * one);
    const diagonal = applied(kronecker, squares, rank, moments.diagonal, 1, kernels);
    return { n, count, gram: null, diagonal, mean };
  }
  const half = applied(kronecker, first, rank, gram, moments.mean.length, kernels);
  const whole = applied(kronecker, first, rank, transposed(half, moments.mean.length, n), n, kernels);
  const reduced = new Float32Array(symmetric(whole, n));
  return {
    n,
    count,
    gram: reduced,
    diagonal: Float32Array.from({ length: n }, (_, i) => reduced[i * n + i]!),
    mean,
  };
}
