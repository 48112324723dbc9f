import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accuracyOf, countRight } from "../../src/evaluate/accuracy.ts";
import { FidelityAccumulator, leastR2, OutputMismatchError } from "../../src/evaluate/fidelity.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { TensorValue } from "../../src/onnx/tensor-value.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";

const float = (values: readonly number[], dims: readonly number[] = [values.length]): TensorValue => ({
  dataType: DataType.DOUBLE,
  dims,
  data: Float64Array.from(values),
});

function fidelity(pairs: readonly (readonly [TensorValue, TensorValue])[]) {
  const accumulator = new FidelityAccumulator(["y"]);
  for (const [y, z] of pairs) accumulator.add({ y }, { y: z });
  return accumulator.outputs()[0]!;
}

describe("what a few samples promise of others", () => {
  const cautious = (pairs: readonly (readonly [TensorValue, TensorValue])[]) => {
    const accumulator = new FidelityAccumulator(["y"]);
    for (const [y, z] of pairs) accumulator.add({ y }, { y: z });
    return accumulator.cautiousR2();
  };

  test("samples that lose alike promise what they keep; one alone, too", () => {
    const alike = [float([1, -1]), float([1.1, -1.1])] as const;
    expect(cautious([alike])).toBeCloseTo(0.99, 14);
    expect(cautious([alike, alike, alike])).toBeCloseTo(0.99, 14);
  });

  test("losses 0 and 0.02 of spreads 2 and 2: L = 0.005, SE = 0.005 by the ratio's deviations, widened by √3", () => {
    const pairs = [
      [float([1, -1]), float([1, -1])],
      [float([1, -1]), float([1.1, -1.1])],
    ] as const;
    expect(cautious(pairs)).toBeCloseTo(1 - 0.005 - 0.005 * Math.sqrt(3), 14);
  });

  test("of class scores: rows 4 and 4 of which 0 and 1 differ: 7/8 less √3/8; what has no scores has none", () => {
    const row = (...scores: number[]) => scores;
    const sure = row(0.9, 0.1);
    const other = row(0.1, 0.9);
    const output = (rows: readonly number[][]) => float(rows.flat(), [rows.length, 2]);
    const accumulator = new FidelityAccumulator(["y"]);
    const same = output([sure, sure, other, other]);
    accumulator.add({ y: same }, { y: same });
    expect(accumulator.cautiousTop1()).toBe(1);
    accumulator.add({ y: same }, { y: output([sure, sure, other, sure]) });
    expect(accumulator.rows).toBe(8);
    expect(accumulator.cautiousTop1()).toBeCloseTo(7 / 8 - Math.sqrt(3) / 8, 14);
    const numbers = new FidelityAccumulator(["y"]);
    numbers.add({ y: float([1, 2, 3]) }, { y: float([1, 2, 3]) });
    expect([numbers.rows, numbers.cautiousTop1()]).toEqual([0, null]);
  });

  test("an output that is no number promises nothing", () => {
    expect(cautious([[float([1, 2]), float([1, Number.NaN])]])).toBe(null);
  });
});

describe("fidelity in closed form", () => {
  test("y = (1, 2, 3, 4) against (1, 2, 3, 5): R² 0.8, cosine 34/√(30·39), largest difference 1", () => {
    const { r2, cosine, max_abs_difference } = fidelity([[float([1, 2, 3, 4]), float([1, 2, 3, 5])]]);
    expect(r2).toBe(1 - 1 / 5);
    expect(cosine).toBeCloseTo(34 / Math.sqrt(30 * 39), 14);
    expect(max_abs_difference).toBe(1);
  });

  test("the mean of y as an answer has R² 0", () => {
    expect(fidelity([[float([1, 2, 3]), float([2, 2, 2])]]).r2).toBe(0);
  });

  test("y scaled by a: cosine 1 and R² = 1 − (1−a)²‖y‖²/‖y−mean‖²", () => {
    const { r2, cosine } = fidelity([[float([-1, 0, 1]), float([-3, 0, 3])]]);
    expect(r2).toBe(1 - 4);
    expect(cosine).toBeCloseTo(1, 14);
  });

  test("is the same whether samples come together or one by one, to 1e-12", () => {
    const number = fc.integer({ min: -8000, max: 8000 }).map((n) => n / 8);
    const values = fc.array(fc.tuple(number, number), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(values, (pairs) => {
        const whole = fidelity([[float(pairs.map((p) => p[0])), float(pairs.map((p) => p[1]))]]);
        const parts = fidelity(pairs.map(([y, z]) => [float([y]), float([z])]));
        if (whole.r2 === null || parts.r2 === null) expect(parts.r2).toBe(whole.r2);
        else
          expect(Math.abs(parts.r2 - whole.r2)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(whole.r2)));
        expect(parts.max_abs_difference).toBe(whole.max_abs_difference);
      }),
    );
  });

  test("does not cancel where the mean is 1e8 times the deviation: R² to 1e-6", () => {
    const y = Array.from({ length: 1000 }, (_, i) => 1e8 + (i % 2));
    const z = y.map((value, i) => value + (i % 4 === 0 ? 0.5 : 0));
    // Σ(y−ŷ)² = 250·0.25, Σ(y−mean)² = 1000·0.25. Values this alike are no constant: they differ by 1e-8 relative,
    // which only double precision holds, so the rounding rule of float32 has to be the one that answers.
    expect(fidelity([[float(y), float(z)]]).r2).toBe(1);
    const shifted = y.map((value) => (value - 1e8) * 1e4 + 1e8);
    const off = shifted.map((value, i) => value + (i % 4 === 0 ? 5000 : 0));
    expect(fidelity([[float(shifted), float(off)]]).r2).toBeCloseTo(0.75, 6);
  });
});

describe("fidelity at the edges", () => {
  test("a constant output: R² 1 where it is met to within rounding, null otherwise", () => {
    expect(fidelity([[float([2, 2]), float([2, 2])]]).r2).toBe(1);
    expect(fidelity([[float([2, 2]), float([2, 2 + 1e-7])]]).r2).toBe(1);
    expect(fidelity([[float([2, 2]), float([2, 2.1])]]).r2).toBeNull();
    expect(fidelity([[float([0, 0]), float([0, 0])]])).toMatchObject({ r2: 1, cosine: 1 });
    expect(fidelity([[float([0, 0]), float([0, 1])]])).toMatchObject({
      r2: null,
      cosine: null,
      max_abs_difference: 1,
    });
  });

  test("NaN and infinities that both have agree and count nowhere", () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    expect(fidelity([[float([1, 2, 3, 4, ...odd]), float([1, 2, 3, 5, ...odd])]]).r2).toBe(0.8);
  });

  test.each([
    [1, Number.NaN],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    [1, Number.POSITIVE_INFINITY],
  ])("%d against %d has neither R² nor cosine, and the largest difference there is", (y, z) => {
    expect(fidelity([[float([1, 2, y]), float([1, 2, z])]])).toEqual({
      output: "y",
      r2: null,
      cosine: null,
      max_abs_difference: Number.MAX_VALUE,
      top1_agreement: null,
    });
  });

  test("float16, integers and booleans count as the numbers they are, texts as equal or not", () => {
    const half = { dataType: DataType.FLOAT16, dims: [2], data: new Uint16Array([0x3c00, 0x4000]) };
    const longs = { dataType: DataType.INT64, dims: [2], data: new BigInt64Array([5n, -5n]) };
    const off = { ...longs, data: new BigInt64Array([5n, -4n]) };
    const texts = { dataType: DataType.STRING, dims: [2], data: ["a", "b"] };
    expect(fidelity([[half, { ...half, data: new Uint16Array([0x3c00, 0x4200]) }]]).max_abs_difference).toBe(
      1,
    );
    expect(fidelity([[longs, off]])).toMatchObject({ r2: 1 - 1 / 50, max_abs_difference: 1 });
    expect(fidelity([[texts, texts]])).toMatchObject({ r2: 1, max_abs_difference: 0 });
    expect(fidelity([[texts, { ...texts, data: ["a", "c"] }]])).toMatchObject({
      r2: null,
      max_abs_difference: 1,
    });
  });

  test("outputs of another shape, type or name are no answer to compare", () => {
    const accumulator = new FidelityAccumulator(["y"]);
    const y = float([1, 2]);
    const others: Feeds[] = [{}, { y: float([1, 2], [2, 1]) }, { y: { ...y, dataType: DataType.FLOAT } }];
    for (const other of others) {
      expect(() => accumulator.add({ y }, other)).toThrow(OutputMismatchError);
    }
  });

  test("the least R² is null as soon as one output has none", () => {
    const output = { output: "y", r2: 0.9, cosine: 1, max_abs_difference: 0, top1_agreement: null };
    expect(leastR2([output, { ...output, r2: 0.5 }])).toBe(0.5);
    expect(leastR2([output, { ...output, r2: null }, output])).toBeNull();
    expect(leastR2([])).toBeNull();
  });
});

describe("top-1", () => {
  const scores = float([1, 2, 0, 5, 4, 4], [2, 3]);

  test("agreement counts rows whose largest column is the same", () => {
    expect(fidelity([[scores, float([0, 9, 0, 1, 2, 0], [2, 3])]]).top1_agreement).toBe(0.5);
  });

  test("three axes count per position, where rows are probabilities or have 256 columns", () => {
    const boxes = float([1, 2, 3, 4], [1, 2, 2]);
    const shares = float([0.25, 0.75, 0.5, 0.5], [1, 2, 2]);
    const words = float(
      Array.from({ length: 512 }, (_, i) => i),
      [1, 2, 256],
    );
    expect(fidelity([[boxes, boxes]]).top1_agreement).toBeNull();
    expect(fidelity([[shares, float([1, 0, 0.5, 0.4], [1, 2, 2])]]).top1_agreement).toBe(0.5);
    expect(fidelity([[words, words]]).top1_agreement).toBe(1);
  });

  test("one column, integers and pictures are no scores", () => {
    const longs = { dataType: DataType.INT64, dims: [1, 3], data: new BigInt64Array(3) };
    for (const y of [float([1, 2], [2, 1]), float([1, 2, 3, 4], [1, 1, 2, 2]), longs]) {
      expect(fidelity([[y, y]]).top1_agreement).toBeNull();
    }
  });

  test("accuracy against labels, over feeds", () => {
    const tallies = [countRight({ scores }, [1, 0]), countRight({ scores }, [1, 2])];
    expect(tallies).toEqual([
      { right: 2, rows: 2 },
      { right: 1, rows: 2 },
    ]);
    expect(accuracyOf(tallies)).toBe(0.75);
    expect(countRight({ scores }, [1])).toBeNull();
    expect(countRight({ scores }, [1, 3])).toBeNull();
    expect(accuracyOf([...tallies, null])).toBeNull();
    expect(accuracyOf([])).toBeNull();
  });
});
