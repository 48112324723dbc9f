import type { RegularizerName } from "../../kernels/kernels.ts";

/** What one matrix is to be pruned to, and how. JSON. */
export interface PruneRequest {
  readonly pattern: PruningPattern;
  readonly solver: PruningSolver;
  /** Of the proximal solver; Hoyer-Square where it is left out. */
  readonly regularizer?: RegularizerName;
  /**
   * λ of the proximal solver, for W of unit root mean square and H of unit mean diagonal, so that it does not depend on
   * the layer's scale. Where it is left out, λ rises until the wanted zeros are there.
   */
  readonly strength?: number;
  /** Least squares on the surviving support afterwards; default: yes for admm and proximal, no for the others. */
  readonly refit?: boolean;
}

/** Where zeros may be. Groups and blocks run along the columns, at one kernel position (see LayerHessian). */
export type PruningPattern =
  /** Exactly this many zeros, or more where W has more already; null: as many as the regulariser makes. */
  | { readonly kind: "unstructured"; readonly zeros: number | null }
  /** At most `keep` of every `of` consecutive columns; a shorter last group keeps `keep` at most too. */
  | { readonly kind: "n:m"; readonly keep: number; readonly of: number }
  /**
   * The share `ratio` of all blocks of 1 × `width` along the columns is zero; 1 × 4 is what sparse int8 dot-product
   * kernels (AVX-512 VNNI, ARM dot product) take. Last blocks may be narrower.
   */
  | { readonly kind: "block"; readonly width: number; readonly ratio: number };

export type PruningSolver = "magnitude" | "wanda" | "obs" | "admm" | "proximal";

/** A request that cannot be carried out, whatever the matrix. */
export class PruneRequestError extends Error {
  override readonly name = "PruneRequestError";
}

/** @throws PruneRequestError */
export function checkRequest({ pattern, solver, strength }: PruneRequest): void {
  const refuse = (reason: string): never => {
    throw new PruneRequestError(reason);
  };
  if (pattern.kind === "unstructured") {
    const { zeros } = pattern;
    if (zeros !== null && !(Number.isInteger(zeros) && zeros >= 0))
      refuse("zeros is a whole number from 0 up");
    if (zeros === null && (solver !== "proximal" || strength === undefined)) {
      refuse("only the proximal solver with a strength can do without a number of zeros");
    }
  }
  if (pattern.kind === "n:m") {
    const whole = Number.isInteger(pattern.keep) && Number.isInteger(pattern.of);
    if (!(whole && pattern.keep >= 0 && pattern.keep <= pattern.of && pattern.of > 0)) {
      refuse("n:m keeps 0 to m of every m columns");
    }
  }
  if (pattern.kind === "block") {
    if (!(Number.isInteger(pattern.width) && pattern.width > 0))
      refuse("a block is at least one column wide");
    if (!(pattern.ratio >= 0 && pattern.ratio <= 1)) refuse("the ratio of zero blocks is between 0 and 1");
  }
  if (strength !== undefined && !(Number.isFinite(strength) && strength >= 0))
    refuse("strength is finite and not negative");
}
