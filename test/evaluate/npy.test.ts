import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNpy } from "../../src/evaluate/npy.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { expectReadOrRefused, npy, npyWith } from "./files.ts";

const six = [1, 2, 3, 4, 5, 6];

describe("npy", () => {
  test.each([
    ["<f4", DataType.FLOAT, new Float32Array(six)],
    ["<f8", DataType.DOUBLE, new Float64Array(six)],
    ["<f2", DataType.FLOAT16, new Uint16Array(six)],
    ["|i1", DataType.INT8, new Int8Array(six)],
    ["|u1", DataType.UINT8, new Uint8Array(six)],
    ["<i2", DataType.INT16, new Int16Array(six)],
    ["<u2", DataType.UINT16, new Uint16Array(six)],
    ["<i4", DataType.INT32, new Int32Array(six)],
    ["<u4", DataType.UINT32, new Uint32Array(six)],
    ["<i8", DataType.INT64, new BigInt64Array(six.map(BigInt))],
    ["<u8", DataType.UINT64, new BigUint64Array(six.map(BigInt))],
    ["|b1", DataType.BOOL, new Uint8Array([1, 0, 1, 1, 0, 0])],
  ])("reads %s", (descr, dataType, data) => {
    expect(parseNpy(npy(descr, [2, 3], data), "x")).toEqual({ dataType, dims: [2, 3], data });
  });

  test("reads a scalar and an empty array", () => {
    expect(parseNpy(npy("<f4", [], new Float32Array([7])), "x").dims).toEqual([]);
    expect(parseNpy(npy("<f4", [0, 5], new Float32Array(0)), "x").dims).toEqual([0, 5]);
  });

  test("turns Fortran order into C order", () => {
    // [[1, 2, 3], [4, 5, 6]] lies column by column.
    const file = npy("<f4", [2, 3], new Float32Array([1, 4, 2, 5, 3, 6]), "True");
    expect(parseNpy(file, "x").data).toEqual(new Float32Array(six));
    // a[i, j, k] = 100 i + 10 j + k
    const cube: number[] = [];
    for (let k = 0; k < 4; k++)
      for (let j = 0; j < 3; j++) for (let i = 0; i < 2; i++) cube.push(100 * i + 10 * j + k);
    const { data } = parseNpy(npy("<f4", [2, 3, 4], new Float32Array(cube), "True"), "x");
    expect([...(data as Float32Array)].slice(0, 6)).toEqual([0, 1, 2, 3, 10, 11]);
    expect(data[23]).toBe(123);
  });

  test("swaps big-endian bytes", () => {
    const file = npyWith(
      "{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }",
      new Uint8Array([0, 0, 1, 2, 255, 255, 255, 254]),
    );
    expect(parseNpy(file, "x").data).toEqual(new Int32Array([258, -2]));
  });

  test.each([
    ["not_npy", new Uint8Array(0)],
    ["not_npy", new TextEncoder().encode("PK\u0003\u0004 something else")],
    ["not_npy", npy("<f4", [1], new Float32Array(1)).subarray(0, 30)],
    ["npy_header", npyWith("{'descr': '<f4', 'fortran_order': False, }", new Uint8Array(4))],
    [
      "npy_header",
      npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", new Uint8Array(4)),
    ],
    [
      "npy_header",
      npyWith("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", new Uint8Array(4)),
    ],
    [
      "npy_header",
      npyWith("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", new Uint8Array(4)),
    ],
    ["npy_header", npyWith("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", new Uint8Array(4))],
    ["npy_header", npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", new Uint8Array(4))],
    ["npy_header", npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", new Uint8Array(8))],
    ["npy_header", npyWith("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", new Uint8Array(4))],
    ["npy_type", npy("|O", [1], new Float32Array(1))],
    ["npy_type", npy("<U4", [1], new Float32Array(4))],
    ["npy_type", npy("<c8", [1], new Float32Array(2))],
    ["array_size", npy("<f4", [3], new Float32Array(2))],
    ["array_size", npy("<f4", [1], new Float32Array(2))],
    ["array_size", npy("<f4", [2 ** 40, 2 ** 40], new Float32Array(1))],
    [
      "array_size",
      npyWith(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        new Uint8Array(4),
      ),
    ],
    ["array_size", npy("<f4", [2 ** 40, 2 ** 40, 0], new Float32Array(0))],
    ["array_size", npy("<f4", new Array(33).fill(1), new Float32Array(1))],
  ])("refuses with %s", (code, file) => {
    expect(() => parseNpy(file, "x")).toThrow(expect.objectContaining({ name: "SamplesError", code }));
  });

  test("reads back what NumPy would have written, of any shape", () => {
    const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(shapes, fc.infiniteStream(fc.float({ noNaN: true })), (dims, numbers) => {
        const count = dims.reduce((product, dim) => product * dim, 1);
        const data = Float32Array.from(numbers.take(count));
        expect(parseNpy(npy("<f4", dims, data), "x")).toEqual({ dataType: DataType.FLOAT, dims, data });
      }),
    );
  });

  test("fuzz: a file with changed bytes is read or refused, never anything else", () => {
    const file = npy("<i8", [3, 2], new BigInt64Array(6));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: file.length - 1 }), fc.nat({ max: 255 })), { maxLength: 6 }),
        fc.nat({ max: file.length }),
        (changes, cut) => {
          const bad = file.slice(0, cut);
          for (const [at, value] of changes) if (at < cut) bad[at] = value;
          expectReadOrRefused(() => parseNpy(bad, "x"));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("the body is copied, so that it is aligned wherever the file lies", () => {
    const file = npy("<f8", [2], new Float64Array([1, 2]));
    for (let shift = 0; shift < 8; shift++) {
      const whole = new Uint8Array(file.length + shift);
      whole.set(file, shift);
      expect(parseNpy(whole.subarray(shift), "x").data).toEqual(new Float64Array([1, 2]));
    }
  });
});
