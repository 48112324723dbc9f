import type { Activation, Vectors } from "./vectors.ts";

/** Which axes of a recurrent node's tensors are what. */
export interface RecurrentAxes {
  /** `layout` 1: [batch, steps, …] in place of [steps, …, batch, …]. */
  readonly batchFirst: boolean;
  /** For each direction whether it walks from the last step to the first. */
  readonly reversed: readonly boolean[];
}

/**
 * The state h before each step, which R multiplies, from the node's output Y: [steps, directions, batch, hidden], or
 * [batch, steps, directions, hidden] where the batch comes first. Before the first step it is `initial` ([directions,
 * batch, hidden] or [batch, directions, hidden]), zero where that is null.
 *
 * Sequences shorter than the longest are not told apart: their states after the end count as the zeros that Y holds.
 * Of a GRU that resets before it multiplies (`linear_before_reset` 0), the rows of the candidate state see r ⊙ h, which
 * no output shows; for these, too, h is counted.
 */
export function stateVectors(
  y: Activation,
  initial: Activation | null,
  { batchFirst, reversed }: RecurrentAxes,
): Vectors {
  const [d0, d1, d2, n] = y.dims as [number, number, number, number];
  const [steps, directions, batch] = batchFirst ? [d1, d2, d0] : [d0, d1, d2];
  const place = (step: number, direction: number, entry: number) =>
    batchFirst
      ? (entry * steps + step) * directions + direction
      : (step * directions + direction) * batch + entry;
  const initialPlace = (direction: number, entry: number) =>
    batchFirst ? entry * directions + direction : direction * batch + entry;
  return {
    matrices: directions,
    n,
    count: steps * batch,
    write(direction, index, out, at) {
      const step = Math.floor(index / batch);
      const entry = index % batch;
      const before = reversed[direction] ? step + 1 : step - 1;
      if (before >= 0 && before < steps) {
        const from = place(before, direction, entry) * n;
        out.set(y.data.subarray(from, from + n), at);
      } else if (initial !== null) {
        const from = initialPlace(direction, entry) * n;
        out.set(initial.data.subarray(from, from + n), at);
      } else out.fill(0, at, at + n);
    },
  };
}

/** The input at each step, [steps, batch, n] or [batch, steps, n], which the W of every direction multiplies. */
export function stepVectors(x: Activation): Vectors {
  const n = x.dims.at(-1) ?? 0;
  return {
    matrices: 1,
    n,
    count: n === 0 ? 0 : x.data.length / n,
    write(_, index, out, at) {
      out.set(x.data.subarray(index * n, (index + 1) * n), at);
    },
  };
}
