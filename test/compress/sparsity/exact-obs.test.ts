import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layerError, quadratic } from "../../../src/compress/input-moments.ts";
import { choosesExactly, exactObsMask } from "../../../src/compress/sparsity/exact-obs.ts";
import { dampingOf, LayerHessian } from "../../../src/compress/sparsity/hessian.ts";
import { pruneWith } from "../../../src/compress/sparsity/prune-matrix.ts";
import type { PruningPattern } from "../../../src/compress/sparsity/request.ts";
import { referenceKernels } from "../../../src/kernels/reference/kernels.ts";
import { correlated, type Problem } from "./problems.ts";
import { gaussJordan } from "./published-obs.ts";

function hessianOf({ moments }: Problem): LayerHessian {
  return new LayerHessian(moments, moments.n, referenceKernels);
}

function damped({ moments }: Problem): number[] {
  const { n, gram, diagonal } = moments;
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / n;
  return Array.from(gram!, (g, i) => g + (i % (n + 1) === 0 ? dampingOf(moments) * mean : 0));
}

/** Least error of one row without some weights: w_Z · (H_ZZ − H_ZS·H_SS⁻¹·H_SZ) · w_Z. */
function errorWithout(row: readonly number[], h: readonly number[], zeros: readonly number[]): number {
  const n = row.length;
  const support = row.map((_, c) => c).filter((c) => !zeros.includes(c));
  const s = support.length;
  const inverse = gaussJordan(
    Float64Array.from({ length: s * s }, (_, i) => h[support[Math.floor(i / s)]! * n + support[i % s]!]!),
    s,
  );
  const pull = support.map((c) => zeros.reduce((sum, z) => sum + h[c * n + z]! * row[z]!, 0));
  let error = 0;
  for (const a of zeros) for (const b of zeros) error += row[a]! * h[a * n + b]! * row[b]!;
  for (let i = 0; i < s; i++) for (let j = 0; j < s; j++) error -= pull[i]! * inverse[i * s + j]! * pull[j]!;
  return error;
}

/** The greedy choice, every candidate solved from scratch. */
function plainGreedy(problem: Problem, pattern: PruningPattern): Uint8Array {
  const { w, rows, moments } = problem;
  const { n } = moments;
  const h = damped(problem);
  const gone: { place: number; cost: number; row: number; step: number }[] = [];
  for (let r = 0; r < rows; r++) {
    const row = Array.from(w.subarray(r * n, (r + 1) * n));
    const zeros: number[] = [];
    let before = 0;
    let most = 0;
    for (;;) {
      const open = row
        .map((_, c) => c)
        .filter((c) => !zeros.includes(c) && (pattern.kind !== "n:m" || roomIn(zeros, c, pattern)));
      if (open.length === 0) break;
      const tried = open.map((c) => ({ c, error: errorWithout(row, h, [...zeros, c]) }));
      const best = tried.reduce((a, b) => (b.error < a.error ? b : a));
      most = Math.max(most, best.error - before);
      before = best.error;
      gone.push({ place: r * n + best.c, cost: most, row: r, step: zeros.length });
      zeros.push(best.c);
    }
  }
  const taken =
    pattern.kind === "unstructured"
      ? gone.sort((a, b) => a.cost - b.cost || a.row - b.row || a.step - b.step).slice(0, pattern.zeros ?? 0)
      : gone;
  const marks = new Uint8Array(w.length);
  for (const { place } of taken) marks[place] = 1;
  return marks;
}

function roomIn(zeros: readonly number[], c: number, { keep, of }: { keep: number; of: number }): boolean {
  const group = Math.floor(c / of);
  return zeros.filter((z) => Math.floor(z / of) === group).length < of - keep;
}

describe("optimal brain compression", () => {
  test.each([
    ["a third", { kind: "unstructured", zeros: 16 }],
    ["two thirds", { kind: "unstructured", zeros: 32 }],
    ["2:4", { kind: "n:m", keep: 2, of: 4 }],
    ["1:4", { kind: "n:m", keep: 1, of: 4 }],
  ] as const)("%s: takes the weights that a greedy takes which solves every candidate anew", (_, pattern) => {
    for (const seed of [1, 2, 3]) {
      const problem = correlated(4, 12, seed);
      const marks = exactObsMask(problem.w, problem.rows, hessianOf(problem), pattern);
      expect(marks).toEqual(plainGreedy(problem, pattern));
    }
  });

  test("with least squares after it has a smaller layer error than the blocked walk with the same, mean over six matrices", () => {
    for (const pattern of [
      { kind: "unstructured", zeros: 12 * 64 },
      { kind: "n:m", keep: 2, of: 4 },
    ] as const) {
      let [exact, walked] = [0, 0];
      for (let seed = 1; seed <= 6; seed++) {
        const problem = correlated(24, 64, 10 + 5 * seed);
        const { w, rows, moments } = problem;
        const error = (pruned: Float32Array) => layerError(w, pruned, rows, 64, moments);
        const hessian = hessianOf(problem);
        exact += error(pruneWith(w, rows, hessian, { solver: "obs", refit: true, pattern }));
        walked += error(pruneWith(w, rows, hessian, { solver: "obs", pattern }));
      }
      expect(exact).toBeLessThan(0.8 * walked);
    }
  });

  test("zeros that are there already cost nothing and go first; exactly as many go as are asked for", () => {
    const problem = correlated(6, 24, 4);
    const w = problem.w.map((value, i) => (i % 3 === 0 ? 0 : value));
    const marks = exactObsMask(w, 6, hessianOf(problem), { kind: "unstructured", zeros: 60 });
    expect(marks.reduce((sum, mark) => sum + mark, 0)).toBe(60);
    for (let i = 0; i < w.length; i += 3) expect(marks[i]).toBe(1);
  });

  test("of one matrix, few zeros are among many, and another matrix with the same Hessian has its own", () => {
    const problem = correlated(5, 16, 6);
    const hessian = hessianOf(problem);
    const mask = (w: Float32Array, zeros: number, by = hessian) =>
      exactObsMask(w, 5, by, { kind: "unstructured", zeros });
    const [few, many] = [mask(problem.w, 20), mask(problem.w, 50)];
    expect(few.every((mark, i) => mark <= many[i]!)).toBe(true);
    const other = problem.w.toReversed();
    expect(mask(other, 20)).toEqual(mask(other, 20, hessianOf(problem)));
    expect(mask(problem.w, 20)).toEqual(few);
  });

  test("large matrices, blocks, and inputs of which only the diagonal is known are left to the walk", () => {
    const hessian = hessianOf(correlated(2, 24, 5));
    const pattern = { kind: "unstructured", zeros: 3 } as const;
    expect(choosesExactly(2, hessian, pattern)).toBe(true);
    expect(choosesExactly(1e9, hessian, pattern)).toBe(false);
    expect(choosesExactly(2, hessian, { kind: "block", width: 4, ratio: 0.5 })).toBe(false);
    const { moments } = correlated(2, 24, 5);
    const diagonal = new LayerHessian({ ...moments, gram: null }, 24, referenceKernels);
    expect(choosesExactly(2, diagonal, pattern)).toBe(false);
  });
});

describe("ADMM with least squares", () => {
  test("is no worse than exact OBS with the same, to 1e-6, on any matrix that is small enough for it", () => {
    const size = fc.record({ rows: fc.integer({ min: 1, max: 6 }), groups: fc.integer({ min: 1, max: 10 }) });
    const patterns = fc.oneof(
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      fc.constantFrom([2, 4] as const, [1, 4] as const),
    );
    let better = 0;
    fc.assert(
      fc.property(size, patterns, fc.integer({ min: 1, max: 1e6 }), ({ rows, groups }, wanted, seed) => {
        const problem = correlated(rows, 4 * groups, seed);
        const { w } = problem;
        const pattern: PruningPattern =
          typeof wanted === "number"
            ? { kind: "unstructured", zeros: Math.round(wanted * w.length) }
            : { kind: "n:m", keep: wanted[0], of: wanted[1] };
        const hessian = hessianOf(problem);
        expect(choosesExactly(rows, hessian, pattern)).toBe(true);
        const error = (solver: "admm" | "obs") => {
          const pruned = pruneWith(w, rows, hessian, { solver, refit: true, pattern });
          const { n, matrix, diagonal } = hessian;
          return quadratic(
            pruned.map((value, i) => value - w[i]!),
            rows,
            n,
            { gram: matrix, diagonal },
          );
        };
        const [admm, obs] = [error("admm"), error("obs")];
        expect(admm).toBeLessThanOrEqual(obs * (1 + 1e-6));
        if (admm < 0.999 * obs) better++;
      }),
      { seed: 1, numRuns: 150 },
    );
    expect(better).toBeGreaterThan(20);
  });
});
