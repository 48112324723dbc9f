import fc from "fast-check";
import { expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import { type Box, contains, intersection, lengthOf, without } from "../../../src/partition/execution/box.ts";
import { unitsOf } from "../../../src/partition/execution/part.ts";
import { gathered, summed } from "../../../src/partition/execution/pieces.ts";

const range = fc
  .tuple(fc.nat(5), fc.nat(5))
  .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) + 1 }));
const box = (rank: number): fc.Arbitrary<Box> => fc.array(range, { minLength: rank, maxLength: rank });

function* points(of: Box): Generator<number[]> {
  const [first, ...rest] = of;
  if (!first) {
    yield [];
    return;
  }
  for (let i = first.from; i < first.to; i++) for (const point of points(rest)) yield [i, ...point];
}

const has = (of: Box, point: readonly number[]) =>
  of.every(({ from, to }, axis) => from <= point[axis]! && point[axis]! < to);

test("what is left of a box and what is taken from it tile the box", () => {
  fc.assert(
    fc.property(box(3), box(3), (whole, hole) => {
      const rest = without(whole, hole);
      for (const point of points(whole)) {
        expect(rest.filter((part) => has(part, point))).toHaveLength(has(hole, point) ? 0 : 1);
      }
      for (const part of rest) expect(contains(whole, part)).toBe(true);
      const shared = intersection(whole, hole);
      if (shared) expect(contains(hole, shared) && contains(whole, shared)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test("units of neighbouring intervals tile the units, whatever the bounds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
      fc.nat(40),
      (bounds, units) => {
        const all = [0, ...bounds.sort((a, b) => a - b), 1];
        const ranges = all.slice(1).map((to, i) => unitsOf({ from: all[i]!, to }, units));
        expect(ranges[0]!.from).toBe(0);
        expect(ranges.at(-1)!.to).toBe(units);
        for (const [i, own] of ranges.slice(1).entries()) expect(own.from).toBe(ranges[i]!.to);
        expect(ranges.reduce((sum, own) => sum + lengthOf(own), 0)).toBe(units);
      },
    ),
  );
});

test("pieces come to lie where their box says, and partial sums add up", () => {
  const tensor = (dims: number[], ...numbers: number[]) => ({
    dataType: DataType.FLOAT,
    dims,
    data: Float32Array.from(numbers),
  });
  const at = (...bounds: [number, number][]): Box => bounds.map(([from, to]) => ({ from, to }));
  const left = { box: at([0, 2], [0, 1]), tensor: tensor([2, 1], 1, 2) };
  const right = { box: at([0, 2], [1, 3]), tensor: tensor([2, 2], 3, 4, 5, 6) };
  const whole = at([0, 2], [0, 3]);
  const pieces = [left, right].map((held) => ({ held, box: held.box }));
  expect(gathered(DataType.FLOAT, whole, pieces)).toEqual(tensor([2, 3], 1, 3, 4, 2, 5, 6));
  const lower = at([1, 2], [0, 3]);
  const lowerPieces = [
    { held: left, box: at([1, 2], [0, 1]) },
    { held: right, box: at([1, 2], [1, 3]) },
  ];
  expect(gathered(DataType.FLOAT, lower, lowerPieces)).toEqual(tensor([1, 3], 2, 5, 6));
  expect(summed(DataType.FLOAT, left.box, [pieces[0]!, pieces[0]!])).toEqual(tensor([2, 1], 2, 4));
});
