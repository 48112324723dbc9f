import { expect, test } from "vitest";
import { layerError } from "../../../src/compress/input-moments.ts";
import { stepsByGradients, stepsBySpectrum } from "../../../src/compress/sparsity/admm-steps.ts";
import { conjugateGradients } from "../../../src/compress/sparsity/conjugate-gradients.ts";
import { LayerHessian } from "../../../src/compress/sparsity/hessian.ts";
import { pruneWith } from "../../../src/compress/sparsity/prune-matrix.ts";
import { matmul } from "../../../src/kernels/reference/matmul.ts";
import { nodeKernels } from "../../../src/kernels/wasm/node.ts";
import { largestDifference, positiveDefinite, relativeDifference, singles } from "../../kernels/matrices.ts";
import { correlated, normals } from "./problems.ts";

const kernels = await nodeKernels();

test("steps by enough conjugate gradients are those by eigenvectors to 1e-4, five steps on", () => {
  const { w, rows, moments } = correlated(12, 96, 3);
  const hessian = new LayerHessian(moments, 96, kernels);
  const zeroed = Uint8Array.from(normals(w.length, 4), (value) => (value < 0 ? 1 : 0));
  const fifth = (next: ReturnType<typeof stepsBySpectrum>) => {
    let v: Float32Array = w;
    for (let i = 0; i < 5; i++)
      v = next(v, zeroed, { penalty: 0.1 * 1.12 ** i, decay: 0.9, relaxation: 1.6 });
    return v;
  };
  const close = fifth(stepsByGradients(w, rows, hessian, 60));
  const exact = fifth(stepsBySpectrum(w, rows, hessian));
  expect(relativeDifference(close, exact)).toBeLessThan(1e-4);
});

test("beyond 1152 columns ADMM makes no eigenvectors, and its error is below that of OBS with refit", () => {
  const n = 1200;
  const [w, rows] = [normals(6 * n, 1), 6];
  const samples = singles(3000 * n, 2);
  for (let i = samples.length - 1; i > 0; i--) samples[i]! += 0.8 * samples[i - 1]!;
  const gram = new Float32Array(n * n);
  kernels.addGram(gram, samples, 3000, n);
  const diagonal = Float32Array.from({ length: n }, (_, i) => gram[i * (n + 1)]!);
  const moments = { n, count: 3000, gram, diagonal, mean: new Float32Array(n) };
  const eigen = () => {
    throw new Error("no eigenvectors");
  };
  const hessian = new LayerHessian(moments, n, { ...kernels, eigen });
  const pattern = { kind: "unstructured", zeros: 0.8 * w.length } as const;
  const error = (solver: "admm" | "obs") =>
    layerError(w, pruneWith(w, rows, hessian, { solver, pattern, refit: true }), rows, n, moments);
  expect(error("admm")).toBeLessThan(0.9 * error("obs"));
});

test("conjugate gradients solve every row of X·A = B to 1e-5, and leave alone what is solved already", () => {
  const [rows, n] = [3, 20];
  const a = positiveDefinite(n, 40, 0.2);
  const solution = singles(rows * n, 5);
  const b = matmul(solution, a, rows, n, n);
  const x = new Float32Array(rows * n);
  x.set(solution.subarray(n, 2 * n), n);
  const residual = Float32Array.from(matmul(x, a, rows, n, n), (value, i) =>
    i >= n && i < 2 * n ? 0 : b[i]! - value,
  );
  const system = {
    times: (y: Float32Array) => Float32Array.from(matmul(y, a, rows, n, n)),
    diagonal: Float32Array.from({ length: n }, (_, i) => a[i * (n + 1)]!),
  };
  conjugateGradients(x, residual, system, new Float64Array(rows), 60);
  expect(largestDifference(x, solution)).toBeLessThan(1e-5);
  expect(x.subarray(n, 2 * n)).toEqual(solution.subarray(n, 2 * n));
});
