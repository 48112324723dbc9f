import type { AdmmProblem, Kernels, ProximalProblem, RegularizerName } from "../../src/kernels/kernels.ts";
import { inverseFactor } from "../../src/kernels/reference/cholesky.ts";
import { symmetricEigen } from "../../src/kernels/reference/eigen.ts";
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

/** A layer that a regulariser makes sparse; its channels have three kernel positions where that divides n. */
export function proximalProblem(m: number, n: number, regularizer: RegularizerName): ProximalProblem {
  const { w, h } = problem(m, n);
  const norm = symmetricEigen(h, n).values[0]!;
  const segment = n % 3 === 0 ? n / 3 : n;
  return { m, n, segment, w, h: Float32Array.from(h), norm, regularizer };
}

/** A layer that ADMM prunes, and its H. */
export function admmProblem(m: number, n: number): { problem: AdmmProblem; h: Float64Array } {
  const { w, h } = problem(m, n);
  const { values, vectors } = symmetricEigen(h, n);
  return { problem: { m, n, w, values, vectors: Float32Array.from(vectors) }, h };
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
  const even = { least: -127, most: 127, group: n };
  const fitted = kernels.fitScales(w, u.subarray(0, n).map(Math.abs), even, true);
  return [
    kernels.matmul(w, u, m, n, n),
    kernels.matmulTransposed(w, u, m, n, n),
    ...[gram, l, kernels.solveCholesky(l, h, n, n), kernels.inverseFactor(h, n), values, vectors],
    ...[svd.u, svd.s, svd.v, quantized.codes, quantized.values],
    kernels.obsPrune(w, u, m, n, { kind: "unstructured", ratio: 0.5, blockSize: 32 }),
    kernels.obsPrune(w, u, m, n, { kind: "n:m", zeros: 2, group: 4, blockSize: 32 }),
    ...Object.values(kernels.obsOrder(w, u, m, n, n, n)),
    ...[fitted, kernels.nearestCodes(w, fitted, even)],
    ...steps(kernels, m, n),
  ];
}

function steps(kernels: Kernels, m: number, n: number): readonly ArrayBufferView[] {
  const [v, before, zeroed] = [singles(m * n, 2), singles(m * n, 3), new Uint8Array(m * n).fill(1, 0, m)];
  const points = (["l1", "l0", "hoyer_square", "group_hoyer_square", "transformed_l1"] as const).map((name) =>
    kernels.fistaStep(proximalProblem(m, n, name), v, before, 0.4, 0.02),
  );
  return [
    ...points.flatMap(({ x, forward }) => [x, forward]),
    Float64Array.from(points.flatMap(({ error, penalty }) => [error, penalty])),
    kernels.admmStep(admmProblem(m, n).problem, v, zeroed, { penalty: 0.2, decay: 0.9, relaxation: 1.6 }),
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
export const KERNELS_DIGEST = "a8031a605e6fa224712ab07218e6cadf49d4a0980fa940226743a7093e0c22a6";
