import { describe, expect, test } from "vitest";
import { columnsBack, columnsIn } from "../../src/compress/column-order.ts";
import { channelsFirst, inputGroups, positionsFirst } from "../../src/compress/quantization/input-groups.ts";
import { type CodedWeight, codedValues } from "../../src/compress/storage/coded.ts";
import { DataType } from "../../src/onnx/data-type.ts";

describe("inputs that share a scale", () => {
  test("as many as asked for where they divide the inputs, or no more than that in all: nothing to remark", () => {
    for (const [columns, positions, wanted, group] of [
      [96, 1, 32, 32],
      [864, 9, 32, 32],
      [96, 1, 96, null],
      [25, 25, 32, null],
      [28, 1, 32, null],
      [784, 1, null, null],
    ] as const) {
      expect(inputGroups(columns, positions, wanted)).toEqual({ group, remark: null });
    }
  });

  test("otherwise the next fewer down to half of it, or all; and that is said", () => {
    for (const [columns, positions, wanted, group] of [
      [784, 1, 32, 28],
      [500, 25, 32, 20],
      [34, 1, 32, 17],
      [37, 1, 32, null],
      [75, 25, 32, null],
    ] as const) {
      const found = inputGroups(columns, positions, wanted);
      expect(found.group).toBe(group);
      expect(found.remark).toContain(
        `${group === null ? "all inputs of an output" : `groups of ${group} inputs`} share a scale`,
      );
      expect(found.remark).toContain(`groups of ${wanted} do not fit its ${columns / positions} inputs`);
    }
  });
});

test("columns by position and back; scales of channels come back with their codes", () => {
  const [rows, channels, positions, group] = [2, 6, 4, 3];
  const columns = channels * positions;
  const order = positionsFirst(columns, positions);
  const w = Float32Array.from({ length: rows * columns }, (_, i) => i);
  // Row 1, position 2, channel 3.
  expect(columnsIn(order, w, rows)[columns + 2 * channels + 3]).toBe(columns + 3 * positions + 2);
  expect(columnsBack(order, columnsIn(order, w, rows), rows)).toEqual(w);
  for (const compact of [false, true]) {
    const blocks = (positions * channels) / group;
    const dims = [compact ? 1 : rows, blocks, 1];
    const coded: CodedWeight = {
      dims: [rows, positions, channels],
      dataType: DataType.FLOAT,
      codes: Uint8Array.from(w, (_, i) => (7 * i) % 5),
      levels: Float32Array.of(-2, -1, 0, 1, 2),
      view: [rows, blocks, group],
      factors: [
        {
          dims,
          values: Float32Array.from({ length: dims[0]! * blocks }, (_, i) => 1 + i),
          half: false,
        },
      ],
    };
    const convolution = channelsFirst(coded, group, [rows, channels, 2, 2]);
    expect(codedValues(convolution)).toEqual(columnsBack(order, codedValues(coded), rows));
  }
});
