import { describe, expect, test } from "vitest";
import type { InputSpec } from "../../src/evaluate/input-spec.ts";
import { describeArrays, readArrays, readSamples } from "../../src/evaluate/samples.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Dim } from "../../src/onnx/model.ts";
import { bytesOf, npy, npz, safetensors } from "./files.ts";

const input = (name: string, shape: readonly Dim[] | null, dataType: number = DataType.FLOAT): InputSpec => ({
  name,
  dataType,
  shape,
});
const ramp = (count: number) => Float32Array.from({ length: count }, (_, i) => i);
const floats = (...shape: number[]) => npy("<f4", shape, ramp(shape.reduce((a, b) => a * b, 1)));
const longs = (...values: number[]) => npy("<i8", [values.length], new BigInt64Array(values.map(BigInt)));
const shapesOf = (samples: ReturnType<typeof readSamples>, name: string) =>
  samples.feeds.map((feed) => feed[name]!.dims);

describe("samples along the first axis", () => {
  test.each([
    ["an open batch takes a sample at a time", ["N", 3], [4, 3], [1, 3], 4],
    ["a fixed batch of 1", [1, 3], [4, 3], [1, 3], 4],
    ["a fixed batch of 2 takes two samples, and leaves out an odd one", [2, 3], [5, 3], [2, 3], 4],
    ["open inner axes take the file's", ["N", 3, "H", "W"], [2, 3, 5, 6], [1, 3, 5, 6], 2],
    ["a sample of the input's own rank is a whole input", [2, null, 3], [4, 2, 1, 3], [2, 1, 3], 4],
    ["pixels become vectors", ["N", 784], [2, 1, 28, 28], [1, 784], 2],
    ["vectors become pixels", ["N", 1, 28, 28], [2, 784], [1, 1, 28, 28], 2],
    ["images without channels", ["N", 28, 28], [2, 1, 28, 28], [1, 28, 28], 2],
    ["channels first does not hide in the sample's rank", [1, 1, 28, 28], [2, 28, 28], [1, 1, 28, 28], 2],
    ["a shape that is not declared", null, [2, 3], [1, 3], 2],
    ["scalars", [], [3], [], 3],
  ] as [string, Dim[] | null, number[], number[], number][])("%s", (_, shape, array, expected, count) => {
    const samples = readSamples(npz({ x: floats(...array) }), "npz", [input("x", shape)]);
    expect(samples.count).toBe(count);
    expect(shapesOf(samples, "x")).toEqual(new Array(samples.feeds.length).fill(expected));
    const all = samples.feeds.flatMap((feed) => [...(feed.x!.data as Float32Array)]);
    expect(all).toEqual([...ramp(all.length)]);
  });

  test("batches as asked, with the labels that belong to them", () => {
    const file = npz({ x: floats(5, 2), labels: longs(9, 8, 7, 6, 5) });
    const samples = readSamples(file, "npz", [input("x", ["N", 2])], { batch: 2 });
    expect(shapesOf(samples, "x")).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect(samples.labels).toEqual([
      [9, 8],
      [7, 6],
    ]);
    expect(samples.count).toBe(4);
  });

  test("a single array serves a single input under any name, in every format", () => {
    const specs = [input("input.1", ["N", 2])];
    const body = ramp(4);
    const formats = [
      ["npy", npy("<f4", [2, 2], body)],
      ["npz", npz({ images: npy("<f4", [2, 2], body) })],
      [
        "safetensors",
        safetensors({ a: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] } }, bytesOf(body)),
      ],
    ] as const;
    for (const [format, file] of formats) {
      expect(readSamples(file, format, specs).feeds[1]!["input.1"]!.data).toEqual(new Float32Array([2, 3]));
    }
  });

  test("an array without dimensions serves every feed", () => {
    const file = npz({
      input: floats(2, 512),
      state: floats(2, 2, 1, 4),
      sr: npy("<i8", [], new BigInt64Array([16_000n])),
    });
    const specs = [
      input("input", [null, null]),
      input("state", [2, null, 4]),
      input("sr", [], DataType.INT64),
    ];
    const samples = readSamples(file, "npz", specs);
    expect(samples.feeds.map((feed) => feed.sr!.data)).toEqual([
      new BigInt64Array([16_000n]),
      new BigInt64Array([16_000n]),
    ]);
    expect(shapesOf(samples, "state")).toEqual([
      [2, 1, 4],
      [2, 1, 4],
    ]);
  });

  test("an input that is itself called labels is an input", () => {
    const file = npz({ x: floats(2, 3), labels: longs(1, 2) });
    const samples = readSamples(file, "npz", [input("x", ["N", 3]), input("labels", ["N"], DataType.INT64)]);
    expect(samples.labels).toBeNull();
    expect(samples.feeds[1]!.labels!.data).toEqual(new BigInt64Array([2n]));
  });
});

describe("whole feeds of varying shapes", () => {
  const specs = [input("x", ["V", 2]), input("edge_index", [2, "E"], DataType.INT64)];
  const edges = (...values: number[]) =>
    npy("<i8", [2, values.length / 2], new BigInt64Array(values.map(BigInt)));

  test("are taken as they are, in the order of their numbers", () => {
    const file = npz({
      "x#1": floats(5, 2),
      "edge_index#1": edges(0, 1, 2, 3),
      "x#0": floats(3, 2),
      "edge_index#0": edges(0, 1),
      "labels#0": longs(4),
      "labels#1": longs(6),
    });
    const samples = readSamples(file, "npz", specs);
    expect(shapesOf(samples, "x")).toEqual([
      [3, 2],
      [5, 2],
    ]);
    expect(shapesOf(samples, "edge_index")).toEqual([
      [2, 1],
      [2, 2],
    ]);
    expect(samples.labels).toEqual([[4], [6]]);
  });

  test("share an array without a number", () => {
    const file = npz({ "x#0": floats(3, 2), "x#1": floats(3, 2), edge_index: edges(0, 1) });
    expect(shapesOf(readSamples(file, "npz", specs), "edge_index")).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  test.each([
    ["feed_index", { "x#0": floats(1, 2), "x#2": floats(1, 2), edge_index: edges(0, 0) }],
    ["feed_index", { "x#00": floats(1, 2), edge_index: edges(0, 0) }],
    ["missing_input", { "x#0": floats(1, 2), "x#1": floats(1, 2), "edge_index#0": edges(0, 0) }],
    ["unknown_array", { "x#0": floats(1, 2), "y#0": floats(1, 2), edge_index: edges(0, 0) }],
    ["shape_mismatch", { "x#0": floats(1, 3), edge_index: edges(0, 0) }],
    ["labels", { "x#0": floats(1, 2), edge_index: edges(0, 0), labels: longs(1) }],
    ["labels", { "x#0": floats(1, 2), "x#1": floats(1, 2), edge_index: edges(0, 0), "labels#0": longs(1) }],
  ])("are refused with %s", (code, arrays) => {
    expect(() => readSamples(npz(arrays as Record<string, Uint8Array>), "npz", specs)).toThrow(
      expect.objectContaining({ name: "SamplesError", code }),
    );
  });
});

describe("types", () => {
  const read = (descr: string, data: Exclude<ArrayBufferView, DataView>, dataType: number) =>
    readSamples(npy(descr, [2, 1], data), "npy", [input("x", ["N", 1], dataType)]).feeds.map(
      (feed) => feed.x!.data[0],
    );

  test.each([
    ["<f8", new Float64Array([0.1, -3]), DataType.FLOAT, [Math.fround(0.1), -3]],
    ["<f4", new Float32Array([0.5, -3]), DataType.DOUBLE, [0.5, -3]],
    ["<f4", new Float32Array([1, -2]), DataType.FLOAT16, [0x3c00, 0xc000]],
    ["<f2", new Uint16Array([0x3c00, 0xc000]), DataType.FLOAT, [1, -2]],
    ["|u1", new Uint8Array([0, 255]), DataType.FLOAT, [0, 255]],
    ["<i8", new BigInt64Array([-5n, 7n]), DataType.INT32, [-5, 7]],
    ["<i4", new Int32Array([-5, 7]), DataType.INT64, [-5n, 7n]],
    ["<i8", new BigInt64Array([0n, 1n]), DataType.BOOL, [0, 1]],
    ["|b1", new Uint8Array([0, 1]), DataType.INT64, [0n, 1n]],
  ] as const)("case %#: %s is converted", (descr, data, dataType, expected) => {
    expect(read(descr, data, dataType)).toEqual(expected);
  });

  test.each([
    ["type_mismatch", "<f4", new Float32Array(2), DataType.INT64],
    ["type_mismatch", "<f4", new Float32Array(2), DataType.STRING],
    ["type_mismatch", "<i8", new BigInt64Array(2), DataType.STRING],
    ["value_range", "<i8", new BigInt64Array([2n ** 31n, 0n]), DataType.INT32],
    ["value_range", "<i4", new Int32Array([-1, 0]), DataType.UINT8],
    ["value_range", "<i8", new BigInt64Array([2n ** 24n + 1n, 0n]), DataType.FLOAT],
    ["value_range", "|u1", new Uint8Array([2, 0]), DataType.BOOL],
  ] as const)("case %#: %s", (code, descr, data, dataType) => {
    expect(() => read(descr, data, dataType)).toThrow(expect.objectContaining({ code }));
  });
});

describe("samples that do not fit the model", () => {
  const x = input("x", ["N", 3]);
  test.each([
    ["unknown_array", [x], { x: floats(2, 3), y: floats(2, 3) }],
    ["unknown_array", [], { x: floats(2, 3) }],
    ["missing_input", [x, input("y", ["N"])], { x: floats(2, 3) }],
    ["missing_input", [x], { labels: longs(1) }],
    ["sample_count", [x, input("y", ["N"])], { x: floats(2, 3), y: floats(3) }],
    ["sample_count", [x], { x: floats(0, 3) }],
    ["sample_count", [x], { x: floats() }],
    ["sample_count", [input("x", [4, 3])], { x: floats(3, 3) }],
    ["shape_mismatch", [x], { x: floats(2, 4) }],
    ["labels", [x], { x: floats(2, 3), labels: longs(1) }],
    ["labels", [x], { x: floats(2, 3), labels: longs(1, -1) }],
    ["labels", [x], { x: floats(2, 3), labels: npy("<f4", [2], new Float32Array([1, 1.5])) }],
    ["labels", [x], { x: floats(2, 3), "labels#0": longs(1) }],
  ])("%s", (code, specs, arrays) => {
    expect(() => readSamples(npz(arrays as unknown as Record<string, Uint8Array>), "npz", specs)).toThrow(
      expect.objectContaining({ name: "SamplesError", code }),
    );
  });
});

test("describes the arrays of a file for the calibration resource", () => {
  const file = npz({ x: floats(2, 3), labels: longs(1, 2) });
  expect(describeArrays(readArrays(file, "npz"))).toEqual([
    { name: "x", type: "float", shape: [2, 3] },
    { name: "labels", type: "int64", shape: [2] },
  ]);
});
