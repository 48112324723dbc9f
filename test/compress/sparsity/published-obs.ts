/**
 * SparseGPT as its paper has it (Algorithm 1 and equations 3 to 5), with the inverse of the remaining Hessian at hand and one
 * step of Gaussian elimination a column; no Cholesky factor and nothing lazy.
 */
export function publishedObs(
  weight: Float32Array,
  rows: number,
  h: Float64Array,
  mask: { blockSize: number; ratio: number } | { keep: number; of: number },
): Float64Array {
  const n = weight.length / rows;
  const w = Float64Array.from(weight);
  // First rows of the inverses of H without its first j columns.
  const inverse = gaussJordan(h, n);
  const first: Float64Array[] = [];
  for (let j = 0; j < n; j++) {
    first.push(inverse.slice(j * n, (j + 1) * n));
    for (let a = j + 1; a < n; a++) {
      const factor = inverse[a * n + j]! / inverse[j * n + j]!;
      for (let b = j; b < n; b++) inverse[a * n + b]! -= factor * inverse[j * n + b]!;
    }
  }
  const pruned = new Uint8Array(w.length);
  const score = (at: number) => w[at]! ** 2 / first[at % n]![at % n]!;
  const prune = (entries: number[], count: number) => {
    const sorted = entries.map((at) => ({ at, score: score(at) })).sort((a, b) => a.score - b.score);
    for (const { at } of sorted.slice(0, count)) pruned[at] = 1;
  };
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  for (let j = 0; j < n; j++) {
    if ("of" in mask && j % mask.of === 0) {
      for (let r = 0; r < rows; r++) prune(range(r * n + j, r * n + j + mask.of), mask.of - mask.keep);
    }
    if ("ratio" in mask && j % mask.blockSize === 0) {
      const to = Math.min(n, j + mask.blockSize);
      const entries = range(0, rows).flatMap((r) => range(r * n + j, r * n + to));
      prune(entries, Math.round(mask.ratio * entries.length));
    }
    for (let r = 0; r < rows; r++) {
      if (pruned[r * n + j] === 0) continue;
      const error = w[r * n + j]! / first[j]![j]!;
      for (let c = j; c < n; c++) w[r * n + c]! -= error * first[j]![c]!;
      w[r * n + j] = 0;
    }
  }
  return w;
}

/** Inverse with the largest pivot of each column. */
export function gaussJordan(matrix: Float64Array, n: number): Float64Array {
  const left = Array.from({ length: n }, (_, i) => [
    ...matrix.subarray(i * n, (i + 1) * n),
    ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)),
  ]);
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(left[r]![c]!) > Math.abs(left[pivot]![c]!)) pivot = r;
    [left[c], left[pivot]] = [left[pivot]!, left[c]!];
    const row = left[c]!;
    const scale = row[c]!;
    for (let j = 0; j < 2 * n; j++) row[j]! /= scale;
    for (let r = 0; r < n; r++) {
      const factor = left[r]![c]!;
      if (r === c || factor === 0) continue;
      for (let j = 0; j < 2 * n; j++) left[r]![j]! -= factor * row[j]!;
    }
  }
  return Float64Array.from(left.flatMap((row) => row.slice(n)));
}
