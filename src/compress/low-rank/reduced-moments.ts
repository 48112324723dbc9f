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

/**
 * Moments of the features at one inner position, of features blocks·inner long with the inner position last: the mean
 * over all inner positions. What a 1×1 convolution sees where a k×k one saw x.
 */
export function innerMoments({ count, n, gram, diagonal, mean }: InputMoments, inner: number): InputMoments {
  const features = n / inner;
  const list = (from: Float32Array) => {
    const to = new Float32Array(features);
    for (let i = 0; i < n; i++) to[Math.floor(i / inner)]! += from[i]! / inner;
    return to;
  };
  const blocks = gram ? new Float32Array(features * features) : null;
  if (gram && blocks) {
    for (let i = 0; i < features; i++) {
      for (let j = 0; j < features; j++) {
        let sum = 0;
        for (let q = 0; q < inner; q++) sum += gram[(i * inner + q) * n + j * inner + q]!;
        blocks[i * features + j] = sum / inner;
      }
    }
  }
  return { n: features, count, gram: blocks, diagonal: list(diagonal), mean: list(mean) };
}
