import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { correlatedMoments } from "./forms-layer.ts";
import { compared, prepared, slowError } from "./layer-treater-check.ts";
import { feedsOf, gather, type Kind, kindOf, lstm, type MomentsOf, treatmentsOf } from "./one-layer.ts";
import { floats, int } from "./tiny.ts";

describe("random layers", () => {
  const dim = fc.integer({ min: 1, max: 9 });
  const kernel = fc.integer({ min: 1, max: 3 });
  const groups = fc.integer({ min: 1, max: 3 });
  const kinds: fc.Arbitrary<Kind> = fc.oneof(
    fc.record({ i: dim, o: dim, kh: kernel, kw: kernel, groups, bias: fc.boolean() }).map((c) =>
      kindOf("Conv", "Conv", {
        weight: [c.o * c.groups, c.i, c.kh, c.kw],
        input: [1, c.i * c.groups, c.kh + 2, c.kw + 1],
        attributes: { group: int(c.groups) },
        ...(c.bias ? { bias: c.o * c.groups } : {}),
      }),
    ),
    fc.record({ i: dim, o: dim, k: kernel, groups, bias: fc.boolean() }).map((c) =>
      kindOf("ConvTranspose", "ConvTranspose", {
        weight: [c.i * c.groups, c.o, c.k],
        input: [1, c.i * c.groups, 3],
        attributes: { group: int(c.groups) },
        ...(c.bias ? { bias: c.o * c.groups } : {}),
      }),
    ),
    fc.record({ i: dim, o: dim, transB: fc.nat(1), bias: fc.boolean() }).map((c) =>
      kindOf("Gemm", "Gemm", {
        weight: c.transB ? [c.o, c.i] : [c.i, c.o],
        input: [3, c.i],
        attributes: { transB: int(c.transB) },
        ...(c.bias ? { bias: c.o } : {}),
      }),
    ),
    fc
      .record({ i: dim, o: dim, batch: groups })
      .map((c) => kindOf("MatMul", "MatMul", { weight: [c.batch, c.i, c.o], input: [c.batch, 2, c.i] })),
    fc
      .record({ directions: fc.integer({ min: 1, max: 2 }), hidden: dim, inputs: dim })
      .map((c) => lstm(c.directions, c.hidden, c.inputs)),
    fc
      .record({ entries: fc.integer({ min: 2, max: 20 }), width: dim })
      .map((c) => gather("Gather", [c.entries, c.width], 0)),
  );
  const seeing: fc.Arbitrary<MomentsOf | null> = fc.constantFrom<(MomentsOf | null)[]>(
    correlatedMoments,
    (n) => ({ ...correlatedMoments(n), gram: null }),
    (n) => correlatedMoments(n, 1, n + 2),
    null,
  );

  test("any treatment agrees with its dense weight to 1e-5 and its error with a slow count to 1e-4 or a millionth", async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        seeing,
        fc.nat(1000),
        fc.nat(10_000),
        fc.constantFrom(0, 0.3),
        async (kind, moments, seed, pick, sparse) => {
          const values = floats(kind.weight, seed).map((w) => (Math.abs(w) < sparse ? 0 : w));
          const one = await prepared(kind, { values }, moments);
          const treatments = treatmentsOf(one.treater.target);
          const treated = one.treater.treat(treatments[pick % treatments.length]!);
          await compared(one, treated, { feeds: feedsOf(kind) });
          const error = slowError(one, treated);
          expect(Math.abs(treated.result.stats.layerError - error)).toBeLessThanOrEqual(1e-4 * error + 1e-6);
        },
      ),
      { numRuns: 100, seed: 4 },
    );
  });
});
