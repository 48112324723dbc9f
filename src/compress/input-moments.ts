import type { FloatArray } from "../kernels/reference/matmul.ts";

/**
 * What was seen of the vectors x that one of a layer's matrices multiplies: their mean and second moments over the
 * calibration samples, G = mean of x·xᵀ.
 */
export interface InputMoments {
  /** Features of x: columns of the matrix. */
  readonly n: number;
  /** Vectors that were counted; positions of a feature map and steps of a sequence each are one. */
  readonly count: number;
  /** G, n × n, symmetric; null where n is too large for it and only its diagonal was kept. */
  readonly gram: Float32Array | null;
  /** Diagonal of G. */
  readonly diagonal: Float32Array;
  /** Mean of x. */
  readonly mean: Float32Array;
}

/** Features up to which all of G is kept: 21 MB. */
export const MOST_GRAM_FEATURES = 2304;

/**
 * The layer error tr(ΔW·G·ΔWᵀ) / tr(W·G·Wᵀ) of one matrix, in double precision; by the diagonal of G alone where
 * there is no more of it, and ‖ΔW‖²/‖W‖² where nothing was seen. 0 where nothing changed; 1 where a change meets an
 * original that gives zero.
 */
export function layerError(
  original: FloatArray,
  changed: FloatArray,
  rows: number,
  columns: number,
  moments: InputMoments | null,
): number {
  const difference = new Float64Array(original.length);
  let any = false;
  for (let i = 0; i < original.length; i++) {
    difference[i] = changed[i]! - original[i]!;
    any ||= difference[i] !== 0;
  }
  if (!any) return 0;
  const lost = quadratic(difference, rows, columns, moments);
  const total = quadratic(original, rows, columns, moments);
  return total > 0 ? lost / total : lost > 0 ? 1 : 0;
}

/** tr(W·G·Wᵀ) ≥ 0, in double precision. */
export function quadratic(
  w: FloatArray,
  rows: number,
  columns: number,
  moments: Pick<InputMoments, "gram" | "diagonal"> | null,
): number {
  let sum = 0;
  const gram = moments?.gram ?? null;
  if (gram === null) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        sum += w[r * columns + c]! ** 2 * (moments === null ? 1 : moments.diagonal[c]!);
      }
    }
    return sum;
  }
  for (let r = 0; r < rows; r++) {
    const at = r * columns;
    for (let i = 0; i < columns; i++) {
      const wi = w[at + i]!;
      if (wi === 0) continue;
      let inner = 0.5 * wi * gram[i * columns + i]!;
      for (let j = i + 1; j < columns; j++) inner += w[at + j]! * gram[i * columns + j]!;
      sum += 2 * wi * inner;
    }
  }
  return Math.max(0, sum);
}

/** Shares of the identity that make no difference. */
const LEAST_SHRINKAGE = 1e-3;

/**
 * The moments that other samples can be expected to have: shrunk towards equal, uncorrelated features by the share that
 * the oracle approximating shrinkage of Chen et al. (IEEE Trans. Signal Processing 58, 2010, eq. 23) finds right for so
 * few vectors. Many vectors stay as they are; with a handful no direction is taken to be free of cost because none of them
 * happened to lie in it.
 */
export function shrunk(moments: InputMoments): InputMoments {
  const { n, count, gram, diagonal } = moments;
  if (gram === null || n < 2) return moments;
  let trace = 0;
  for (const value of diagonal) trace += value;
  let squares = 0;
  for (const value of gram) squares += value * value;
  const spread = squares - (trace * trace) / n;
  const share = ((1 - 2 / n) * squares + trace * trace) / ((count + 1 - 2 / n) * spread);
  if (share < LEAST_SHRINKAGE) return moments;
  const kept = 1 - (spread > 0 ? Math.min(1, share) : 1);
  const added = ((1 - kept) * trace) / n;
  const target = gram.map((value) => kept * value);
  for (let i = 0; i < n; i++) target[i * n + i]! += added;
  return { ...moments, gram: target, diagonal: diagonal.map((value) => kept * value + added) };
}

/** Share of a second moment below which the variance that is left of it is rounding. */
const LEAST_VARIANCE = 1e-6;

/** The moments of x − E[x]: what a change of the weight costs when the layer's bias takes up the mean of that change. */
export function centred(moments: InputMoments): InputMoments {
  const { n, gram, diagonal, mean } = moments;
  const covariance = gram?.slice() ?? null;
  const variances = diagonal.map((one, i) => {
    const variance = one - mean[i]! ** 2;
    return variance > LEAST_VARIANCE * one ? variance : 0;
  });
  if (covariance) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (variances[i] === 0 || variances[j] === 0) covariance[i * n + j] = 0;
        else covariance[i * n + j]! -= mean[i]! * mean[j]!;
      }
      covariance[i * n + i] = variances[i]!;
    }
  }
  return { ...moments, gram: covariance, diagonal: variances, mean: new Float32Array(n) };
}
