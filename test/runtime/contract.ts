import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { detached } from "../../src/onnx/detach.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { load } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { RuntimeLoadError, RuntimeRunError } from "../../src/runtime/errors.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";

/** What every host's runtime has to do, whatever it runs on. */
export function describeRuntime(host: string, runtime: () => Promise<Runtime>): void {
  describe(`the runtime contract in ${host}`, () => {
    test.each(VALUES)("carries $type through a model unchanged", async ({ code, value }) => {
      const session = await (await runtime()).load(identityModel(code));
      expect(session.inputNames).toEqual(["x"]);
      expect(session.outputNames).toEqual(["y"]);
      expect(await session.run({ x: value })).toEqual({ y: value });
      await session.release();
    });

    test("carries an empty tensor and a scalar", async () => {
      const session = await (await runtime()).load(identityModel(DataType.FLOAT));
      const empty = { dataType: DataType.FLOAT, dims: [0, 3], data: new Float32Array(0) };
      const scalar = { dataType: DataType.FLOAT, dims: [], data: new Float32Array([7]) };
      expect(await session.run({ x: empty })).toEqual({ y: empty });
      expect(await session.run({ x: scalar })).toEqual({ y: scalar });
      await session.release();
    });

    test("gives the same values with and without optimisation, and lean", async () => {
      const { value, code } = VALUES[0]!;
      for (const options of [{ optimization: "none" }, { memory: "lean" }] as const) {
        const session = await (await runtime()).load(identityModel(code), options);
        expect(await session.run({ x: value })).toEqual({ y: value });
        await session.release();
      }
    });

    test("takes weights from files beside the model, and says how much memory it has taken", async () => {
      const { model, files } = detached(MULTIPLY);
      expect(files).toHaveLength(1);
      const external = await Promise.all(
        files.map(async ({ path, bytes }) => ({ path, data: await load(bytes) })),
      );
      const feeds = { x: numbers([1, 256]) };
      const host = await runtime();
      const inside = await host.load(await modelBytes(MULTIPLY));
      const beside = await host.load(await modelBytes(model), { external, memory: "tight" });
      expect(await beside.run(feeds)).toEqual(await inside.run(feeds));
      await inside.release();
      await beside.release();
      expect(host.memoryBytes()).toBeGreaterThanOrEqual(2 ** 24);
    });

    test("names what is wrong when it refuses a model", async () => {
      const loading = (await runtime()).load(new Uint8Array([1, 2, 3]));
      await expect(loading).rejects.toThrow(RuntimeLoadError);
      await expect(loading).rejects.toThrow(/protobuf parsing failed/);
    });

    test("goes on after a refused model and a failed run", async () => {
      const session = await (await runtime()).load(identityModel(DataType.FLOAT));
      await expect(session.run({})).rejects.toThrow(RuntimeRunError);
      await expect(session.run({ x: VALUES[1]!.value })).rejects.toThrow(/Unexpected input data type|type/);
      await expect(
        session.run({ x: { dataType: DataType.FLOAT, dims: [2, 2], data: new Float32Array(3) } }),
      ).rejects.toThrow(/3 elements, but shape \[2,2\]/);
      await expect(
        session.run({ x: { dataType: DataType.BFLOAT16, dims: [1], data: new Uint16Array(1) } }),
      ).rejects.toThrow(/bfloat16/);
      expect(await session.run({ x: VALUES[0]!.value })).toEqual({ y: VALUES[0]!.value });
      await session.release();
    });

    test("keeps two sessions apart", async () => {
      const host = await runtime();
      const [a, b] = await Promise.all([
        host.load(identityModel(DataType.FLOAT)),
        host.load(identityModel(DataType.INT64)),
      ]);
      const float = VALUES.find((v) => v.code === DataType.FLOAT)!.value;
      const long = VALUES.find((v) => v.code === DataType.INT64)!.value;
      expect(await Promise.all([a.run({ x: float }), b.run({ x: long })])).toEqual([
        { y: float },
        { y: long },
      ]);
      await a.release();
      expect(await b.run({ x: long })).toEqual({ y: long });
      await b.release();
    });
  });
}

const VALUES: readonly { type: string; code: number; value: TensorValue }[] = [
  value("float", DataType.FLOAT, new Float32Array([0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e-45])),
  value("uint8", DataType.UINT8, new Uint8Array([0, 1, 2, 128, 254, 255])),
  value("int8", DataType.INT8, new Int8Array([0, 1, -1, 127, -127, -128])),
  value("uint16", DataType.UINT16, new Uint16Array([0, 1, 2, 32768, 65534, 65535])),
  value("int16", DataType.INT16, new Int16Array([0, 1, -1, 32767, -32767, -32768])),
  value("int32", DataType.INT32, new Int32Array([0, 1, -1, 2147483647, -2147483647, -2147483648])),
  value(
    "int64",
    DataType.INT64,
    new BigInt64Array([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]),
  ),
  value("bool", DataType.BOOL, new Uint8Array([0, 1, 1, 0, 0, 1])),
  value("float16", DataType.FLOAT16, new Uint16Array([0, 0x8000, 0x3c00, 0x7c00, 0x0001, 0x7bff])),
  value("double", DataType.DOUBLE, new Float64Array([0, -0, 1e300, Number.NaN, -1e-320, Math.PI])),
  value("uint32", DataType.UINT32, new Uint32Array([0, 1, 2, 2147483648, 4294967294, 4294967295])),
  value(
    "uint64",
    DataType.UINT64,
    new BigUint64Array([0n, 1n, 2n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 53n + 1n]),
  ),
  value("string", DataType.STRING, ["", "a", "ä", "𝄞", "two words", "x".repeat(1000)]),
];

function value(
  type: string,
  code: number,
  data: TensorValue["data"],
): { type: string; code: number; value: TensorValue } {
  return { type, code, value: { dataType: code, dims: [2, 3], data } };
}

function numbers(dims: readonly number[]): TensorValue {
  const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i));
  return { dataType: DataType.FLOAT, dims, data };
}

/** y = x·w, w of 64 KiB. */
const MULTIPLY: Model = {
  irVersion: 8,
  opsetImports: [{ domain: "", version: 14 }],
  metadata: [],
  functions: [],
  graph: {
    name: "multiply",
    nodes: [nodeOf("MatMul", ["x", "w"], ["y"])],
    initializers: [tensorOf("w", numbers([256, 64]))],
    sparseInitializers: [],
    inputs: [{ name: "x", type: { kind: "tensor", dataType: DataType.FLOAT, shape: [1, 256] } }],
    outputs: [{ name: "y", type: { kind: "tensor", dataType: DataType.FLOAT } }],
    valueInfo: [],
  },
};

/** `y = Identity(x)` by hand (onnx.proto field numbers), rank and sizes open, IR 8, opset 14. */
function identityModel(dataType: number): Uint8Array {
  const text = (field: number, s: string) => bytes(field, [...new TextEncoder().encode(s)]);
  const bytes = (field: number, body: readonly number[]) => [(field << 3) | 2, body.length, ...body];
  const int = (field: number, n: number) => [field << 3, n];
  const valueInfo = (name: string) => [...text(1, name), ...bytes(2, bytes(1, int(1, dataType)))];
  const node = [...text(1, "x"), ...text(2, "y"), ...text(4, "Identity")];
  const graph = [
    ...bytes(1, node),
    ...text(2, "g"),
    ...bytes(11, valueInfo("x")),
    ...bytes(12, valueInfo("y")),
  ];
  return new Uint8Array([...int(1, 8), ...bytes(7, graph), ...bytes(8, int(2, 14))]);
}
