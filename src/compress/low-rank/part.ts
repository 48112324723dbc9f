import type { InputMoments } from "../input-moments.ts";
import type { Kronecker } from "./kronecker.ts";
import type { Metric } from "./metric.ts";

/** One of the matrices that share a first factor. */
export interface Part {
  /** rows × blocks·columns·inner, in that order of features; finite. */
  readonly w: Float32Array;
  readonly rows: number;
  readonly kronecker: Kronecker;
  readonly metric: Metric;
  /** Of its lost energy in the sum that is minimised. */
  readonly weight: number;
}

/** A part with what every step needs. */
export interface PreparedPart extends Part {
  /** W·G. */
  readonly seen: Float32Array;
  /** tr(W·G·Wᵀ). */
  readonly total: number;
}

/** A point of the search: factors, E·G of the error E = A·T(S) − W of each part, and the weighted tr(E·G·Eᵀ). */
export interface Point {
  readonly first: Float32Array;
  readonly last: readonly Float32Array[];
  readonly errors: readonly Float32Array[];
  readonly lost: number;
}

/** The best last factor that keeps a constraint, from the best without. */
export type Constraint = (last: {
  readonly part: number;
  /** A: the minimiser without the constraint, rows × features. */
  readonly free: Float32Array;
  /** A·H, with H the second moments of A's features. */
  readonly seen: Float32Array;
  /** H as moments, damped; their mean is not known. */
  readonly moments: InputMoments;
}) => Float32Array;
