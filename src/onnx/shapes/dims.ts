import type { Dim } from "../model.ts";
import type { Dims } from "./facts.ts";

/** Arithmetic on dimensions of which some are symbols or unknown. */

/** Position of a possibly negative axis, or null when it lies outside the rank. */
export function axisOf(axis: number, rank: number): number | null {
  const position = axis < 0 ? axis + rank : axis;
  return Number.isInteger(position) && position >= 0 && position < rank ? position : null;
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (a === 0) return b;
  return b === 0 ? a : null;
}

export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a * b;
  if (a === 0 || b === 0) return 0;
  if (a === 1) return b;
  return b === 1 ? a : null;
}

/** Product of all dimensions; 1 for a scalar. */
export function product(dims: Dims): Dim {
  return dims.reduce<Dim>(multiplyDims, 1);
}

/** The more exact of two statements about the same dimension: a number, else a symbol, else nothing. */
export function unifyDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number") return a;
  if (typeof b === "number") return b;
  return a ?? b;
}

/** True when both are numbers and differ. */
export function contradict(a: Dim | undefined, b: Dim | undefined): boolean {
  return typeof a === "number" && typeof b === "number" && a !== b;
}

/** One dimension of numpy's broadcasting; undefined when the sizes cannot be broadcast. */
function broadcastDim(a: Dim, b: Dim): Dim | undefined {
  if (a === b) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === "number") return typeof b === "number" ? undefined : a;
  return typeof b === "number" ? b : null;
}

/**
 * Multidirectional broadcasting. `null` when a rank is unknown; `mismatch` is called, and the dimension left
 * unknown, where two sizes do not fit.
 */
export function broadcast(shapes: readonly (Dims | null)[], mismatch: () => void): Dim[] | null {
  let result: Dim[] = [];
  for (const shape of shapes) {
    if (!shape) return null;
    const rank = Math.max(result.length, shape.length);
    const previous = result;
    result = Array.from({ length: rank }, (_, i) => {
      const a = previous[i - rank + previous.length] ?? (i < rank - previous.length ? 1 : null);
      const b = shape[i - rank + shape.length] ?? (i < rank - shape.length ? 1 : null);
      const dim = broadcastDim(a, b);
      if (dim === undefined) mismatch();
      return dim ?? null;
    });
  }
  return result;
}

/**
 * Solves the one dimension of `target` that is -1 (or unknown) from the element count of `source`, cancelling
 * equal symbols: [N, 49, 64] as [N, 49, 4, -1] gives 16, [N, 49] as [-1, 49] gives N.
 * `mismatch` is called when the counts cannot agree, with the factor by which the source is short of elements.
 */
export function solveReshape(
  source: Dims,
  target: readonly Dim[],
  mismatch: (multipleOf?: number) => void,
): Dim[] {
  const open = target.flatMap((dim, i) => (dim === -1 || dim === null ? [i] : []));
  const rest = target.filter((dim) => dim !== -1 && dim !== null);
  const result = target.map((dim) => (dim === -1 ? null : dim));
  if (source.includes(null) || open.length > 1) return result;

  let ratio = 1;
  const symbols: string[] = [];
  for (const dim of source) {
    if (typeof dim === "number") ratio *= dim;
    else if (dim !== null) symbols.push(dim);
  }
  let divisor = 1;
  for (const dim of rest) {
    if (typeof dim === "number") divisor *= dim;
    else if (dim !== null) {
      const at = symbols.indexOf(dim);
      if (at < 0) return result;
      symbols.splice(at, 1);
    }
  }
  const [position] = open;
  if (position === undefined) {
    if (symbols.length === 0 && ratio !== divisor) mismatch();
    return result;
  }
  if (symbols.length > 0) {
    if (symbols.length === 1 && ratio === divisor) result[position] = symbols[0] ?? null;
    return result;
  }
  if (divisor === 0) return result;
  if (ratio % divisor !== 0) mismatch(divisor / greatestCommonDivisor(ratio, divisor));
  else result[position] = ratio / divisor;
  return result;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return x;
}
