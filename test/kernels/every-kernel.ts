import type { Kernels } from "../../src/kernels/kernels.ts";
import { inverseFactor } from "../../src/kernels/reference/cholesky.ts";
import { positiveDefinite, singles } from "./matrices.ts";

/** A layer to prune: W (m × n), H of inputs that depend on each other, and the factor U of its inverse. */
export interface Problem {
  readonly m: number;
  readonly n: number;
  readonly w: Float32Array;
  readonly u: Float32Array;
  readonly h: Float64Array;
}

export function problem(m: number, n: number, seed = 7): Problem {
  const h = positiveDefinite(n, 2 * n, 0.05, seed);
  return { m, n, w: singles(m * n, seed + 1), u: inverseFactor(h, n), h };
}

/** The results of every kernel, to be compared to the bit. */
export function everyKernel(kernels: Kernels, { m, n, w, u, h }: Problem): readonly ArrayBufferView[] {
  const gram = new Float32Array(n * n);
  kernels.addGram(gram, w, m, n);
  const l = kernels.cholesky(h, n);
  const { values, vectors } = kernels.eigen(h, n);
  const svd = kernels.svd(Float64Array.from(w), m, n);
  const scales = new Float32Array(m).fill(0.1);
  const grid = { least: -8, most: 7, scales, group: n, keepZeros: false, blockSize: 32 };
  const quantized = kernels.obsQuantize(w, u, m, n, grid);
  return [
    kernels.matmul(w, u, m, n, n),
    kernels.matmulTransposed(w, u, m, n, n),
    ...[gram, l, kernels.solveCholesky(l, h, n, n), kernels.inverseFactor(h, n), values, vectors],
    ...[svd.u, svd.s, svd.v, quantized.codes, quantized.values],
    kernels.obsPrune(w, u, m, n, { kind: "unstructured", ratio: 0.5, blockSize: 32 }),
    kernels.obsPrune(w, u, m, n, { kind: "n:m", zeros: 2, group: 4, blockSize: 32 }),
  ];
}

/** SHA-256 of the results of every kernel on a seeded layer of odd sizes. */
export async function kernelsDigest(kernels: Kernels): Promise<string> {
  const results = everyKernel(kernels, problem(37, 71));
  const bytes = results.flatMap((array) => [
    ...new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  ]);
  const hash = await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What the WASM home has to give on every host whose processor has a fused multiply-add. */
export const KERNELS_DIGEST = "dc8e305ec4839678209c5988f7700afd3441e6cd9b186862a0a6616593f8d76e";
