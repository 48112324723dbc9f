import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { parseNpz } from "../../src/evaluate/npz.ts";
import { parseSafetensors } from "../../src/evaluate/safetensors.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { bytesOf, expectReadOrRefused, npy, npz, safetensors } from "./files.ts";

const LIMIT = 2 ** 20;
const floats = new Float32Array([1, 2, 3, 4]);
const x = { dataType: DataType.FLOAT, dims: [2, 2], data: floats };

describe("npz", () => {
  test.each([0, 6] as const)("reads arrays at compression level %i", (level) => {
    const file = npz(
      { x: npy("<f4", [2, 2], floats), labels: npy("<i8", [1], new BigInt64Array([3n])) },
      level,
    );
    const arrays = parseNpz(file, LIMIT);
    expect([...arrays.keys()]).toEqual(["x", "labels"]);
    expect(arrays.get("x")).toEqual(x);
  });

  const zeros = npy("<f4", [2 ** 16], new Float32Array(2 ** 16));
  test.each([
    ["not_npz", new Uint8Array(0)],
    ["not_npz", new Uint8Array(1000)],
    ["not_npz", npz({ x: npy("<f4", [2, 2], floats) }).subarray(0, 100)],
    ["npz_entry", zipSync({ "x.txt": new Uint8Array(3) })],
    ["npz_entry", zipSync({ ".npy": npy("<f4", [2, 2], floats) })],
    ["too_large", npz({ a: zeros, b: zeros, c: zeros, d: zeros }, 6)],
    ["not_npy", npz({ x: new Uint8Array(20) })],
    ["array_size", npz({ x: npy("<f4", [5], floats) })],
  ])("refuses with %s", (code, file) => {
    expect(() => parseNpz(file, LIMIT - 1)).toThrow(expect.objectContaining({ name: "SamplesError", code }));
  });

  test("refuses two arrays of one name", () => {
    const file = npz({ x: npy("<f4", [2, 2], floats), y: npy("<f4", [2, 2], floats) });
    const twice = file.map((byte, i) =>
      byte === 0x79 && String.fromCharCode(...file.subarray(i, i + 5)) === "y.npy" ? 0x78 : byte,
    );
    expect(() => parseNpz(twice, LIMIT)).toThrow(expect.objectContaining({ code: "duplicate_array" }));
  });

  test("refuses a directory that declares more than deflate can hold, before allocating it", () => {
    const file = npz({ x: zeros }, 6);
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const directory = view.getUint32(file.byteLength - 22 + 16, true);
    view.setUint32(directory + 24, 0x7fffffff, true);
    expect(() => parseNpz(file, 2 ** 32)).toThrow(expect.objectContaining({ code: "not_npz" }));
  });

  test("fuzz: a file with changed bytes is read or refused, never anything else", () => {
    const file = npz({ x: npy("<f4", [2, 2], floats), y: npy("<i8", [2], new BigInt64Array(2)) }, 6);
    const change = fc.tuple(fc.nat({ max: file.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
        const bad = file.slice();
        for (const [at, value] of changes) bad[at] = value;
        expectReadOrRefused(() => parseNpz(bad, LIMIT));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("safetensors", () => {
  const entry = { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] };

  test("reads arrays in the order of their bytes, and skips the metadata", () => {
    const header = {
      __metadata__: { format: "pt" },
      y: { dtype: "I64", shape: [1], data_offsets: [16, 24] },
      x: entry,
    };
    const body = new Uint8Array([...bytesOf(floats), ...bytesOf(new BigInt64Array([5n]))]);
    const arrays = parseSafetensors(safetensors(header, body));
    expect([...arrays.keys()]).toEqual(["x", "y"]);
    expect(arrays.get("x")).toEqual(x);
    expect(arrays.get("y")!.data).toEqual(new BigInt64Array([5n]));
  });

  test("reads an empty file of no arrays, and padding after the header's JSON", () => {
    expect(parseSafetensors(safetensors("{}     ", new Uint8Array(0))).size).toBe(0);
  });

  const body = bytesOf(floats);
  test.each([
    ["not_safetensors", new Uint8Array(7)],
    ["not_safetensors", new Uint8Array(8).fill(255)],
    ["not_safetensors", safetensors({ x: entry }, body).subarray(0, 20)],
    ["safetensors_header", safetensors("[1]", new Uint8Array(0))],
    ["safetensors_header", safetensors("{", new Uint8Array(0))],
    ["safetensors_header", safetensors({ x: 1 }, body)],
    ["safetensors_header", safetensors({ x: { ...entry, dtype: "F128" } }, body)],
    ["safetensors_header", safetensors({ x: { ...entry, shape: [2.5, 2] } }, body)],
    ["safetensors_header", safetensors({ x: { ...entry, shape: [-2, -2] } }, body)],
    ["safetensors_header", safetensors({ x: { ...entry, data_offsets: [0] } }, body)],
    ["safetensors_header", safetensors({ x: entry, y: entry }, body)],
    ["safetensors_header", safetensors({ x: { ...entry, data_offsets: [4, 20] } }, new Uint8Array(20))],
    ["safetensors_header", safetensors({ x: entry }, new Uint8Array(20))],
    ["safetensors_header", safetensors({ x: entry }, new Uint8Array(12))],
    ["array_size", safetensors({ x: { ...entry, shape: [2, 3] } }, body)],
    ["array_size", safetensors({ x: { ...entry, shape: [2 ** 40, 2 ** 40] } }, body)],
    ["array_size", safetensors({ x: { ...entry, data_offsets: [16, 0] } }, body)],
  ])("refuses with %s", (code, file) => {
    expect(() => parseSafetensors(file)).toThrow(expect.objectContaining({ name: "SamplesError", code }));
  });

  test("fuzz: a file with changed bytes is read or refused, never anything else", () => {
    const file = safetensors(
      { x: entry, y: { dtype: "U8", shape: [3], data_offsets: [16, 19] } },
      new Uint8Array(19),
    );
    const change = fc.tuple(fc.nat({ max: file.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), fc.nat({ max: file.length }), (changes, cut) => {
        const bad = file.slice(0, cut);
        for (const [at, value] of changes) if (at < cut) bad[at] = value;
        expectReadOrRefused(() => parseSafetensors(bad));
      }),
      { numRuns: 2000 },
    );
  });
});
