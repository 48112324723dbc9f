import type { Kernels } from "../../kernels/kernels.ts";
import { applied, expanded } from "./kronecker.ts";
import { dividedBy, dot, timesMetric } from "./metric.ts";
import type { Constraint, Part, Point, PreparedPart } from "./part.ts";
import { reducedMoments } from "./reduced-moments.ts";

/** The best A_l for S: normal equations in the moments of T(S)'s outputs. */
export function lastRenewed(
  parts: readonly PreparedPart[],
  first: Float32Array,
  rank: number,
  constrain: Constraint,
  kernels: Kernels,
): Point {
  const last: Float32Array[] = [];
  const errors: Float32Array[] = [];
  let lost = 0;
  for (const [index, part] of parts.entries()) {
    const { rows, kronecker, metric, w, weight } = part;
    const seen = applied(kronecker, first, rank, part.seen, rows, kernels);
    const unknown = { count: 1, mean: new Float32Array(metric.n) };
    const moments = reducedMoments({ ...metric, ...unknown }, kronecker, first, rank, kernels);
    const free = moments.gram
      ? dividedBy(seen, rows, new Float64Array(moments.gram), moments.n, kernels)
      : blockwiseDivided(part, seen, first, rank, kernels);
    const a = constrain({ part: index, free, seen, moments });
    const error = expanded(kronecker, first, rank, a, rows, kernels);
    for (let i = 0; i < error.length; i++) error[i]! -= w[i]!;
    const weighted = timesMetric(error, rows, metric, kernels);
    lost += weight * Math.max(0, dot(weighted, error));
    last.push(a);
    errors.push(weighted);
  }
  return { first, last, errors, lost };
}

/** The best A of each part for an S that is at hand. */
export function lastFactors(
  parts: readonly Part[],
  first: Float32Array,
  rank: number,
  kernels: Kernels,
): readonly Float32Array[] {
  const prepared = parts.map((part): PreparedPart => {
    const seen = timesMetric(part.w, part.rows, part.metric, kernels);
    return { ...part, seen, total: dot(seen, part.w) };
  });
  return lastRenewed(prepared, first, rank, ({ free }) => free, kernels).last;
}

/** The same as dividedBy, for a diagonal G: a small system for each block and inner position. */
function blockwiseDivided(
  { rows, kronecker: { blocks, columns, inner }, metric: { diagonal } }: Part,
  wanted: Float32Array,
  first: Float32Array,
  rank: number,
  kernels: Kernels,
): Float32Array {
  const a = new Float32Array(wanted.length);
  const size = blocks * rank * inner;
  const small = new Float64Array(rank * rank);
  const b = new Float32Array(rows * rank);
  for (let block = 0; block < blocks; block++) {
    for (let q = 0; q < inner; q++) {
      for (let s = 0; s < rank; s++) {
        for (let t = 0; t <= s; t++) {
          let sum = 0;
          for (let j = 0; j < columns; j++) {
            sum +=
              first[s * columns + j]! *
              first[t * columns + j]! *
              diagonal[(block * columns + j) * inner + q]!;
          }
          small[s * rank + t] = sum;
          small[t * rank + s] = sum;
        }
      }
      const at = (r: number, s: number) => r * size + (block * rank + s) * inner + q;
      for (let r = 0; r < rows; r++) for (let s = 0; s < rank; s++) b[r * rank + s] = wanted[at(r, s)]!;
      const solved = dividedBy(b, rows, small, rank, kernels);
      for (let r = 0; r < rows; r++) for (let s = 0; s < rank; s++) a[at(r, s)] = solved[r * rank + s]!;
    }
  }
  return a;
}
