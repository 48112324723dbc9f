import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { InputMoments } from "../../../src/compress/input-moments.ts";
import { LayerHessian } from "../../../src/compress/sparsity/hessian.ts";
import { pruneMatrix, pruneWith } from "../../../src/compress/sparsity/prune-matrix.ts";
import type { PruneRequest, PruningPattern } from "../../../src/compress/sparsity/request.ts";
import { PruneRequestError } from "../../../src/compress/sparsity/request.ts";
import { referenceKernels } from "../../../src/kernels/reference/kernels.ts";
import { correlated, momentsOf, normals } from "./problems.ts";

const SOLVERS = ["magnitude", "wanda", "obs", "admm", "proximal"] as const;

const zerosIn = (w: Float32Array) => w.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 5 }),
  channels: fc.integer({ min: 1, max: 7 }),
  positions: fc.constantFrom(1, 3, 4),
  seed: fc.nat(1000),
  known: fc.constantFrom("all", "diagonal", "nothing"),
  solver: fc.constantFrom(...SOLVERS),
  refit: fc.constantFrom(true, false, undefined),
});

/** Weights with some zeros, and moments of as many samples as features, some of them dead. */
function problem({
  rows,
  channels,
  positions,
  seed,
  known,
}: {
  rows: number;
  channels: number;
  positions: number;
  seed: number;
  known: string;
}) {
  const n = channels * positions;
  const { w, moments } = correlated(rows, n, seed, n);
  const samples = normals(n * n, seed).map((value, i) => ((i % n) % 5 === 3 ? 0 : value));
  const seen: InputMoments = seed % 2 === 0 ? moments : momentsOf(samples, n);
  return {
    n,
    w: w.map((value) => (Math.abs(value) < 0.1 ? 0 : value)),
    moments: known === "nothing" ? null : known === "diagonal" ? { ...seen, gram: null } : seen,
  };
}

describe("every solver", () => {
  test("makes exactly as many zeros as asked, or keeps those that are there if they are more", () => {
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (size, ratio) => {
        const { w, n, moments } = problem(size);
        const zeros = Math.round(ratio * w.length);
        const request: PruneRequest = {
          solver: size.solver,
          refit: size.refit,
          pattern: { kind: "unstructured", zeros },
        };
        const pruned = pruneMatrix(w, size.rows, n, moments, request, referenceKernels, size.positions);
        expect(pruned.every(Number.isFinite)).toBe(true);
        expect(zerosIn(pruned)).toBe(Math.max(zeros, zerosIn(w)));
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test("keeps N of every M input channels at each kernel position at most, and no fewer than it has to", () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom([2, 4], [1, 2], [4, 8], [0, 3]), (size, [keep, of]) => {
        const { w, n, moments } = problem(size);
        const request: PruneRequest = {
          solver: size.solver,
          refit: size.refit,
          pattern: { kind: "n:m", keep: keep!, of: of! },
        };
        const pruned = pruneMatrix(w, size.rows, n, moments, request, referenceKernels, size.positions);
        expect(pruned.every(Number.isFinite)).toBe(true);
        for (let r = 0; r < size.rows; r++) {
          for (let p = 0; p < size.positions; p++) {
            const line = Array.from({ length: size.channels }, (_, c) => r * n + c * size.positions + p);
            for (let start = 0; start < line.length; start += of!) {
              const group = line.slice(start, start + of!);
              const count = (values: Float32Array) => group.filter((at) => values[at] !== 0).length;
              expect(count(pruned)).toBeLessThanOrEqual(keep!);
              if (w.every((value) => value !== 0)) expect(count(pruned)).toBe(Math.min(keep!, group.length));
            }
          }
        }
      }),
      { numRuns: 300, seed: 2 },
    );
  });

  test("makes the share of all 1 × 4 blocks zero that was asked for", () => {
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (size, ratio) => {
        const { n, moments } = problem(size);
        const w = normals(size.rows * n, size.seed);
        const request: PruneRequest = { solver: size.solver, pattern: { kind: "block", width: 4, ratio } };
        const pruned = pruneMatrix(w, size.rows, n, moments, request, referenceKernels, size.positions);
        let blocks = 0;
        let zero = 0;
        for (let line = 0; line < size.rows * size.positions; line++) {
          const [r, p] = [Math.floor(line / size.positions), line % size.positions];
          for (let c = 0; c < size.channels; c += 4) {
            const block = Array.from(
              { length: Math.min(4, size.channels - c) },
              (_, i) => pruned[r * n + (c + i) * size.positions + p],
            );
            blocks += 1;
            if (block.every((value) => value === 0)) zero += 1;
            else expect(block.every((value) => value !== 0)).toBe(true);
          }
        }
        expect(zero).toBe(Math.round(ratio * blocks));
      }),
      { numRuns: 200, seed: 3 },
    );
  });

  test("gives the same bytes again, whether factors are shared or not, and leaves its arguments alone", () => {
    const { w, rows, moments } = correlated(8, 24, 4);
    const hessian = new LayerHessian(moments, 24, referenceKernels);
    const before = w.slice();
    for (const solver of SOLVERS) {
      for (const zeros of [50, 150]) {
        const request: PruneRequest = { solver, pattern: { kind: "unstructured", zeros } };
        const shared = pruneWith(w, rows, hessian, request);
        expect(pruneMatrix(w, rows, 24, moments, request, referenceKernels)).toEqual(shared);
      }
    }
    expect(w).toEqual(before);
  });

  test("of equal weights those of lower index go, in every solver the same way each time", () => {
    const w = new Float32Array(16).fill(0.5);
    const pattern: PruningPattern = { kind: "unstructured", zeros: 6 };
    const pruned = pruneMatrix(w, 1, 16, null, { solver: "magnitude", pattern }, referenceKernels);
    expect([...pruned].map((value) => value === 0)).toEqual([...w].map((_, i) => i < 6));
    for (const solver of ["obs", "admm"] as const) {
      expect(pruneMatrix(w, 1, 16, null, { solver, pattern }, referenceKernels)).toEqual(pruned);
    }
  });

  test.each([2 ** 20, 2 ** -20])("scales with W and not with G (factor %f)", (factor) => {
    const { w, rows, moments } = correlated(6, 24, 6);
    const louder: InputMoments = {
      ...moments,
      gram: moments.gram!.map((value) => value * factor),
      diagonal: moments.diagonal.map((value) => value * factor),
    };
    for (const solver of SOLVERS) {
      const request: PruneRequest = { solver, pattern: { kind: "unstructured", zeros: 80 } };
      const pruned = pruneMatrix(w, rows, 24, moments, request, referenceKernels);
      const scaled = w.map((value) => value * factor);
      expect(pruneMatrix(w, rows, 24, louder, request, referenceKernels)).toEqual(pruned);
      expect(pruneMatrix(scaled, rows, 24, moments, request, referenceKernels)).toEqual(
        pruned.map((value) => value * factor),
      );
    }
  });
});

describe("degenerate layers", () => {
  test("dead inputs lose their weights first", () => {
    const n = 12;
    const samples = normals(60 * n, 5).map((value, i) => (i % n < 4 ? 0 : value));
    const moments = momentsOf(samples, n);
    const w = normals(3 * n, 6).map((value) => value + Math.sign(value));
    for (const solver of ["wanda", "obs", "admm"] as const) {
      const request: PruneRequest = { solver, pattern: { kind: "unstructured", zeros: 12 } };
      const pruned = pruneMatrix(w, 3, n, moments, request, referenceKernels);
      expect([...pruned].map((value) => value === 0)).toEqual([...w].map((_, i) => i % n < 4));
    }
  });

  test("one sample, inputs that were always zero, one weight, no weights", () => {
    const one = momentsOf(normals(10, 7), 10);
    const silent = momentsOf(new Float32Array(30), 10);
    for (const solver of SOLVERS) {
      const request: PruneRequest = { solver, pattern: { kind: "unstructured", zeros: 15 } };
      for (const moments of [one, silent]) {
        const pruned = pruneMatrix(normals(30, 8), 3, 10, moments, request, referenceKernels);
        expect(pruned.every(Number.isFinite)).toBe(true);
        expect(zerosIn(pruned)).toBe(15);
      }
      const single = momentsOf(Float32Array.of(2), 1);
      expect(pruneMatrix(Float32Array.of(3), 1, 1, single, request, referenceKernels)).toEqual(
        Float32Array.of(0),
      );
      expect(pruneMatrix(new Float32Array(0), 0, 10, one, request, referenceKernels)).toEqual(
        new Float32Array(0),
      );
      expect(pruneMatrix(new Float32Array(0), 3, 0, null, request, referenceKernels)).toEqual(
        new Float32Array(0),
      );
      expect(pruneMatrix(new Float32Array(10), 1, 10, one, request, referenceKernels)).toEqual(
        new Float32Array(10),
      );
    }
  });

  test("one outlier channel of a million times the power does not break the others", () => {
    const n = 20;
    const samples = normals(80 * n, 9).map((value, i) => (i % n === 7 ? 1000 * value : value));
    const w = normals(4 * n, 10);
    for (const solver of SOLVERS) {
      const pruned = pruneMatrix(
        w,
        4,
        n,
        momentsOf(samples, n),
        { solver, pattern: { kind: "unstructured", zeros: 40 } },
        referenceKernels,
      );
      expect(pruned.every(Number.isFinite)).toBe(true);
      if (solver !== "magnitude") for (let r = 0; r < 4; r++) expect(pruned[r * n + 7]).not.toBe(0);
    }
  });

  test("weights that are not numbers stay, and spoil no other weight", () => {
    const { moments } = correlated(1, 8, 11);
    const w = Float32Array.of(1, Number.NaN, 0.1, 2, Number.POSITIVE_INFINITY, 0.2, 3, 0.3);
    for (const solver of SOLVERS) {
      const request: PruneRequest = { solver, pattern: { kind: "unstructured", zeros: 3 } };
      expect(pruneMatrix(w, 1, 8, moments, request, referenceKernels)).toEqual(
        Float32Array.of(1, Number.NaN, 0, 2, Number.POSITIVE_INFINITY, 0, 3, 0),
      );
    }
  });
});

describe("a strength without a number of zeros", () => {
  test.each(["l1", "l0", "hoyer_square", "group_hoyer_square", "transformed_l1"] as const)(
    "%s: more strength, more zeros, from none to all",
    (regularizer) => {
      const { w, rows, moments } = correlated(8, 24, 12);
      const counts = [0, 0.01, 0.1, 1, 1e3].map((strength) =>
        zerosIn(
          pruneMatrix(
            w,
            rows,
            24,
            moments,
            { solver: "proximal", regularizer, strength, pattern: { kind: "unstructured", zeros: null } },
            referenceKernels,
          ),
        ),
      );
      expect(counts[0]).toBe(0);
      expect(counts).toEqual(counts.toSorted((a, b) => a - b));
      expect(counts.at(-1)).toBe(w.length);
      expect(new Set(counts).size).toBeGreaterThan(2);
    },
  );

  test("requests that make no sense are refused", () => {
    const requests: PruneRequest[] = [
      { solver: "obs", pattern: { kind: "unstructured", zeros: null } },
      { solver: "proximal", pattern: { kind: "unstructured", zeros: null } },
      { solver: "obs", pattern: { kind: "unstructured", zeros: -1 } },
      { solver: "obs", pattern: { kind: "n:m", keep: 5, of: 4 } },
      { solver: "obs", pattern: { kind: "block", width: 0, ratio: 0.5 } },
      { solver: "obs", pattern: { kind: "block", width: 4, ratio: Number.NaN } },
      { solver: "proximal", strength: -1, pattern: { kind: "unstructured", zeros: 1 } },
    ];
    for (const request of requests) {
      expect(() => pruneMatrix(normals(8, 1), 1, 8, null, request, referenceKernels)).toThrow(
        PruneRequestError,
      );
    }
  });
});
