import { type Kernels, requireFinite } from "../kernels.ts";
import { cholesky, inverseFactor, solveCholesky } from "./cholesky.ts";
import { symmetricEigen } from "./eigen.ts";
import { gram, matmul } from "./matmul.ts";
import { obsPrune, obsQuantize } from "./obs.ts";
import { obsOrder } from "./obs-order.ts";
import { fitScales, nearestCodes } from "./rounding.ts";
import { admmStep, fistaStep } from "./steps.ts";
import { thinSvd } from "./svd.ts";

/** Every kernel in slow, obvious double precision: what the other homes are measured against. */
export const referenceKernels: Kernels = {
  name: "reference",
  memoryBytes: () => 0,
  matmul: (a, b, m, k, n) => Float32Array.from(matmul(a, b, m, k, n)),
  matmulTransposed: (a, b, m, k, n) => {
    const transposed = b.map((_, i) => b[(i % n) * k + Math.floor(i / n)]!);
    return Float32Array.from(matmul(a, transposed, m, k, n));
  },
  addGram: (g, x, rows, n) => {
    const added = gram(rows, n, (row, column) => x[row * n + column]!);
    for (let i = 0; i < n * n; i++) g[i]! += added[i]!;
  },
  cholesky,
  solveCholesky,
  inverseFactor,
  eigen: (a, n) => {
    requireFinite(a);
    return symmetricEigen(a, n);
  },
  svd: (a, m, n) => {
    requireFinite(a);
    return thinSvd(a, m, n);
  },
  obsPrune,
  obsQuantize,
  obsOrder,
  fitScales,
  nearestCodes,
  fistaStep,
  admmStep,
};
