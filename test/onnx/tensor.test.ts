import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Tensor, TensorData } from "../../src/onnx/model.ts";
import { type ByteSource, byteLength } from "../../src/onnx/source.ts";
import { readSparseTensor, sparseTensorOf } from "../../src/onnx/sparse.ts";
import { readTensor, tensorByteLength, tensorOf } from "../../src/onnx/tensor.ts";
import type { TensorArray } from "../../src/onnx/tensor-value.ts";
import { bytes, varint } from "./bytes.ts";

const typed = (dataType: number, dims: readonly number[], field: number, payload: Uint8Array): Tensor => ({
  name: "t",
  dataType,
  dims,
  data: { kind: "typed", field, bytes: payload },
});

const varints = (...values: (number | bigint)[]) => bytes(...values.map(varint));

describe("typed fields, as onnx.proto assigns them", () => {
  test.each([
    ["int8 in int32_data", DataType.INT8, 5, varints(-1, 5), Int8Array.of(-1, 5)],
    ["uint8 in int32_data", DataType.UINT8, 5, varints(255, 5), Uint8Array.of(255, 5)],
    ["int16 in int32_data", DataType.INT16, 5, varints(-300, 5), Int16Array.of(-300, 5)],
    ["uint16 in int32_data", DataType.UINT16, 5, varints(65_535, 5), Uint16Array.of(65_535, 5)],
    ["int32 in int32_data", DataType.INT32, 5, varints(-(2 ** 31), 5), Int32Array.of(-(2 ** 31), 5)],
    ["bool in int32_data", DataType.BOOL, 5, varints(1, 0), Uint8Array.of(1, 0)],
    [
      "float16 bits in int32_data",
      DataType.FLOAT16,
      5,
      varints(0x3c00, 0xbc00),
      Uint16Array.of(0x3c00, 0xbc00),
    ],
    [
      "bfloat16 bits in int32_data",
      DataType.BFLOAT16,
      5,
      varints(0x3f80, 0xbf80),
      Uint16Array.of(0x3f80, 0xbf80),
    ],
    ["float8 bits in int32_data", DataType.FLOAT8E4M3FN, 5, varints(0x38, 0xb8), Uint8Array.of(0x38, 0xb8)],
    ["int4 pairs in int32_data", DataType.INT4, 5, varints(0x7f), Int8Array.of(-1, 7)],
    ["uint4 pairs in int32_data", DataType.UINT4, 5, varints(0x7f), Uint8Array.of(15, 7)],
    [
      "int64 in int64_data",
      DataType.INT64,
      7,
      varints(-(2n ** 63n), 2n ** 63n - 1n),
      BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
    ],
    [
      "uint64 in uint64_data",
      DataType.UINT64,
      11,
      varints(2n ** 64n - 1n, 1),
      BigUint64Array.of(2n ** 64n - 1n, 1n),
    ],
    ["uint32 in uint64_data", DataType.UINT32, 11, varints(2 ** 32 - 1, 1), Uint32Array.of(2 ** 32 - 1, 1)],
    [
      "float in float_data",
      DataType.FLOAT,
      4,
      new Uint8Array(Float32Array.of(-0, 1.5).buffer),
      Float32Array.of(-0, 1.5),
    ],
    [
      "double in double_data",
      DataType.DOUBLE,
      10,
      new Uint8Array(Float64Array.of(1e300, 2).buffer),
      Float64Array.of(1e300, 2),
    ],
  ] as const)("%s", async (_name, dataType, field, payload, expected) => {
    const value = await readTensor(typed(dataType, [2], field, payload));
    expect(value).toEqual({ dataType, dims: [2], data: expected });
    expect((await readTensor(tensorOf("t", value))).data).toEqual(expected);
  });

  test("complex numbers are pairs", async () => {
    const payload = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    const value = await readTensor(typed(DataType.COMPLEX64, [2], 4, payload));
    expect(value.data).toEqual(Float32Array.of(1, 2, 3, 4));
  });
});

const ARRAYS: readonly (readonly [type: number, make: (bytes: Uint8Array) => TensorArray])[] = [
  [DataType.FLOAT, (bytes) => new Float32Array(bytes.buffer)],
  [DataType.DOUBLE, (bytes) => new Float64Array(bytes.buffer)],
  [DataType.INT8, (bytes) => new Int8Array(bytes.buffer)],
  [DataType.UINT16, (bytes) => new Uint16Array(bytes.buffer)],
  [DataType.INT32, (bytes) => new Int32Array(bytes.buffer)],
  [DataType.INT64, (bytes) => new BigInt64Array(bytes.buffer)],
  [DataType.FLOAT16, (bytes) => new Uint16Array(bytes.buffer)],
];

test("any bits of any type come back from raw_data as they were", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ARRAYS),
      fc.array(fc.nat({ max: 255 }), { maxLength: 6 }),
      async ([dataType, make], seed) => {
        const raw = Uint8Array.from(seed.flatMap((byte) => new Array<number>(8).fill(byte)));
        const data = make(raw);
        const value = { dataType, dims: [data.length], data };
        const again = await readTensor(tensorOf("t", value));
        if (!ArrayBuffer.isView(again.data)) throw new Error("expected numbers");
        expect(new Uint8Array(again.data.buffer)).toEqual(raw);
        expect(again.dims).toEqual(value.dims);
      },
    ),
  );
});

test("4-bit and 2-bit numbers of any count come back as they were, in half and a quarter of the bytes", async () => {
  for (const [dataType, bits, low, high] of [
    [DataType.INT4, 4, -8, 7],
    [DataType.UINT4, 4, 0, 15],
    [DataType.INT2, 2, -2, 1],
    [DataType.UINT2, 2, 0, 3],
    [DataType.FLOAT4E2M1, 4, 0, 15],
  ] as const) {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: low, max: high }), { maxLength: 20 }), async (numbers) => {
        const data = low < 0 ? Int8Array.from(numbers) : Uint8Array.from(numbers);
        const tensor = tensorOf("t", { dataType, dims: [numbers.length], data });
        expect(tensorByteLength(tensor)).toBe(Math.ceil((numbers.length * bits) / 8));
        expect((await readTensor(tensor)).data).toEqual(data);
      }),
      { numRuns: 50 },
    );
  }
});

test("the first of two 4-bit numbers is in the low half of the byte", () => {
  const { data } = tensorOf("t", { dataType: DataType.UINT4, dims: [2], data: Uint8Array.of(1, 2) });
  expect(data).toEqual({ kind: "raw", bytes: Uint8Array.of(0x21) });
});

test("strings come back as they were", async () => {
  const value = { dataType: DataType.STRING, dims: [2], data: ["a", "β\uFEFF"] };
  expect(await readTensor(tensorOf("t", value))).toEqual(value);
});

test("an empty tensor has no bytes and a scalar one element", async () => {
  const empty: TensorData = { kind: "raw", bytes: new Uint8Array(0) };
  const none = await readTensor({ name: "t", dataType: DataType.FLOAT, dims: [0, 3], data: empty });
  expect(none.data).toEqual(new Float32Array(0));
  const one = tensorOf("t", { dataType: DataType.FLOAT, dims: [], data: Float32Array.of(7) });
  expect((await readTensor(one)).data).toEqual(Float32Array.of(7));
});

test("external data is read by its range only", async () => {
  const asked: [number, number][] = [];
  const source: ByteSource = {
    size: 2 ** 40,
    async read(offset, length) {
      asked.push([offset, length]);
      return new Uint8Array(length);
    },
  };
  const span = { source, offset: 2 ** 39, length: 8 };
  const tensor: Tensor = {
    name: "t",
    dataType: DataType.FLOAT,
    dims: [2],
    data: { kind: "external", location: "w", span },
  };
  await readTensor(tensor);
  expect(asked).toEqual([[2 ** 39, 8]]);
});

describe("sparse tensors", () => {
  test("any dense tensor comes back bit for bit, -0 and NaN included", async () => {
    const numbers = fc.array(fc.constantFrom(0, 0, 0, 1.5, -0, Number.NaN, -2), {
      minLength: 1,
      maxLength: 300,
    });
    await fc.assert(
      fc.asyncProperty(numbers, async (values) => {
        const data = Float32Array.from(values);
        const sparse = sparseTensorOf("w", { dataType: DataType.FLOAT, dims: [values.length, 1], data });
        const dense = await readSparseTensor(sparse);
        if (!ArrayBuffer.isView(dense.data)) throw new Error("expected numbers");
        expect(new Uint8Array(dense.data.buffer)).toEqual(new Uint8Array(data.buffer));
        expect(dense.dims).toEqual([values.length, 1]);
      }),
    );
  });

  test("an index takes a varint: 1 byte below 128, 2 below 16384", () => {
    const data = new Int8Array(20_000);
    data[127] = 1;
    data[128] = 1;
    data[16_383] = 1;
    data[16_384] = 1;
    const { indices, values } = sparseTensorOf("w", { dataType: DataType.INT8, dims: [20_000], data });
    expect(indices.data.kind === "typed" && byteLength(indices.data.bytes)).toBe(1 + 2 + 2 + 3);
    expect(tensorByteLength(values)).toBe(4);
  });

  test("indices may be coordinates", async () => {
    const dense = await readSparseTensor({
      values: tensorOf("w", { dataType: DataType.FLOAT, dims: [2], data: Float32Array.of(5, 6) }),
      indices: tensorOf("", {
        dataType: DataType.INT64,
        dims: [2, 2],
        data: BigInt64Array.of(0n, 1n, 1n, 0n),
      }),
      dims: [2, 2],
    });
    expect(dense.data).toEqual(Float32Array.of(0, 5, 6, 0));
  });

  test("a tensor of zeros only, and one of int64", async () => {
    const zeros = { dataType: DataType.FLOAT, dims: [4], data: new Float32Array(4) };
    expect(await readSparseTensor(sparseTensorOf("w", zeros))).toEqual(zeros);
    const ints = { dataType: DataType.INT64, dims: [3], data: BigInt64Array.of(0n, -1n, 0n) };
    expect(await readSparseTensor(sparseTensorOf("w", ints))).toEqual(ints);
  });
});
