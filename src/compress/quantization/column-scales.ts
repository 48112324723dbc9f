/** Powers of the inputs' size that the columns' scales are tried at (AWQ, §3.2), all of them by square roots. */
const EXPONENTS: readonly ((x: number) => number)[] = [
  (x) => Math.sqrt(Math.sqrt(x)),
  Math.sqrt,
  (x) => Math.sqrt(x) * Math.sqrt(Math.sqrt(x)),
];

/** Sizes are kept within this factor of their mean. */
const RANGE = 1e3;

/**
 * Scales of the columns to choose from, besides none: columns with large inputs get fine steps (AWQ), columns with
 * large weights coarse ones, both to a few powers. Columns of one share, such as the positions of a kernel, have one.
 *
 * @param diagonal mean squares of the inputs
 * @param shared consecutive columns with the same scale
 */
export function columnScaleCandidates(
  w: Float32Array,
  rows: number,
  columns: number,
  diagonal: Float32Array,
  shared: number,
): Float32Array[] {
  const inputs = new Float64Array(columns / shared);
  const weights = new Float64Array(columns / shared);
  for (let c = 0; c < columns; c++) {
    const at = Math.floor(c / shared);
    inputs[at]! += diagonal[c]!;
    for (let r = 0; r < rows; r++) weights[at]! += w[r * columns + c]! * w[r * columns + c]!;
  }
  const a = relative(inputs);
  const b = relative(weights);
  const flat = a.map(() => 1);
  const spread = (scales: Float64Array) =>
    Float32Array.from({ length: columns }, (_, c) => scales[Math.floor(c / shared)]!);
  const candidates: Float32Array[] = [];
  for (const up of [null, ...EXPONENTS.slice(0, 2)]) {
    for (const down of [null, ...EXPONENTS]) {
      if (up === null && down === null) continue;
      const above = up ? b.map(up) : flat;
      const below = down ? a.map(down) : flat;
      candidates.push(spread(above.map((one, i) => one / below[i]!)));
    }
  }
  return candidates;
}

/** Root mean squares over their mean, within {@link RANGE}. */
function relative(squares: Float64Array): Float64Array {
  const roots = squares.map(Math.sqrt);
  const mean = roots.reduce((sum, one) => sum + one, 0) / Math.max(1, roots.length);
  return roots.map((one) => (mean > 0 ? Math.min(RANGE, Math.max(1 / RANGE, one / mean)) : 1));
}
