import { admmStep } from "./admm";
import { factor, inverse, inverseWork, solve } from "./cholesky";
import { eigenWork, symmetricEigen } from "./eigen";
import { fistaStep } from "./fista";
import { ALL, gemm, UPPER } from "./gemm";
import { FREE } from "./memory";
import { GIVEN, GROUPS, obsWork, QUANTIZE, UNSTRUCTURED, walkColumns } from "./obs";
import { obsOrder, orderWork } from "./order";
import { proximalWork } from "./proximal";
import { fitScales, nearestCodes, scalesWork } from "./scales";
import { svdWork, thinSvd } from "./svd";
import { mirror } from "./vector";

export {
  admmStep,
  eigenWork,
  factor,
  fistaStep,
  fitScales,
  GIVEN,
  GROUPS,
  inverse,
  inverseWork,
  nearestCodes,
  obsOrder,
  obsWork,
  orderWork,
  proximalWork,
  QUANTIZE,
  scalesWork,
  solve,
  svdWork,
  symmetricEigen,
  thinSvd,
  UNSTRUCTURED,
  walkColumns,
};

/** First byte of the memory that belongs to the caller. */
export const free: usize = FREE;

/** C = A·B, or A·Bᵀ where `transposed` is set, in single precision. */
export function matmul(a: usize, b: usize, c: usize, m: usize, k: usize, n: usize, transposed: bool): void {
  gemm<f32>(m, n, k, a, k, 1, b, transposed ? 1 : n, transposed ? k : 1, c, n, 1, false, ALL);
}

/** G += XᵀX: X rows × n. */
export function addGram(gram: usize, x: usize, rows: usize, n: usize): void {
  gemm<f32>(n, n, rows, x, 1, n, x, n, 1, gram, n, 1, true, UPPER);
  mirror<f32>(gram, n);
}
