import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf, tensorAttribute } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource, chunksOf, wholeOf } from "../../src/onnx/source.ts";
import { sparseTensorOf } from "../../src/onnx/sparse.ts";
import { readTensor, tensorOf } from "../../src/onnx/tensor.ts";
import { validateModel } from "../../src/onnx/validate.ts";
import { encodeModel, modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import {
  bytes,
  floats,
  int,
  message,
  model,
  node,
  tensor,
  text,
  tinyExternalModel,
  tinyModel,
} from "./bytes.ts";
import { counted, plain } from "./check.ts";

const float = (...data: number[]) => ({ dataType: 1, dims: [data.length], data: Float32Array.from(data) });

const info = (name: string) => ({ name, type: { kind: "tensor", dataType: 1, shape: ["n"] } }) as const;

/** y = Relu(x + w), made of nothing but objects. */
const made: Model = {
  irVersion: 8,
  opsetImports: [{ domain: "", version: 13 }],
  producerName: "hone",
  modelVersion: 3,
  graph: {
    name: "g",
    nodes: [
      nodeOf("Add", ["x", "w"], ["h"]),
      nodeOf("Clip", ["h"], ["c"], {}),
      nodeOf("Softmax", ["c"], ["y"], { axis: { type: "int", value: -1 } }),
    ],
    initializers: [tensorOf("w", float(1, 2))],
    sparseInitializers: [],
    inputs: [info("x")],
    outputs: [info("y")],
    valueInfo: [],
  },
  metadata: [{ key: "k", value: "v" }],
  functions: [],
};

describe("writing", () => {
  test("a model made of objects reads back equal, has the size it said, and runs", async () => {
    const written = await modelBytes(made);
    expect(encodeModel(made).size).toBe(written.length);
    const read = await readModel(bytesSource(written));
    expect(await plain(read)).toEqual(await plain(made));
    validateModel(read);
    const session = await (await nodeRuntime()).load(written);
    const { y } = await session.run({ x: float(1, 0) });
    expect([...(y!.data as Float32Array)]).toEqual([0.5, 0.5]);
    await session.release();
  });

  test("every kind of attribute reads back equal", async () => {
    const all = nodeOf("Op", ["x"], ["y"], {
      float: { type: "float", value: 0.5 },
      int: { type: "int", value: -7 },
      string: { type: "string", value: "λ" },
      tensor: { type: "tensor", value: tensorOf("", float(1)) },
      graph: { type: "graph", value: made.graph },
      sparse: { type: "sparse_tensor", value: sparseTensorOf("", float(0, 1)) },
      floats: { type: "floats", value: [1, 2, 3] },
      ints: { type: "ints", value: [1, -2, 2 ** 40] },
      strings: { type: "strings", value: ["a", "b"] },
      tensors: { type: "tensors", value: [tensorOf("", float(1)), tensorOf("", float(2))] },
      graphs: { type: "graphs", value: [made.graph] },
      none: { type: "ints", value: [] },
    });
    const one = { ...made, graph: { ...made.graph, nodes: [all] } };
    const read = await readModel(bytesSource(await modelBytes(one)));
    expect(await plain(read.graph.nodes[0])).toEqual(await plain(all));
  });

  test("every kind of type reads back equal", async () => {
    const dense = { kind: "tensor", dataType: 1, shape: [1, "batch", null] } as const;
    const types = [
      dense,
      { kind: "tensor", dataType: 7 },
      { kind: "tensor", dataType: 7, shape: [] },
      { kind: "sparse_tensor", dataType: 1, shape: [3] },
      { kind: "sequence", element: dense },
      { kind: "optional", element: { kind: "sequence", element: dense } },
      { kind: "map", keyType: DataType.INT64, value: dense },
    ] as const;
    const valueInfo = types.map((type, i) => ({ name: `v${i}`, type }));
    const one = { ...made, graph: { ...made.graph, valueInfo } };
    const read = await readModel(bytesSource(await modelBytes(one)));
    expect(await plain(read.graph.valueInfo)).toEqual(await plain(valueInfo));
  });

  test("an untouched large tensor is read as it is written, and again from the start", async () => {
    const large = new Uint8Array(5 * 2 ** 20 + 4).fill(1);
    const file = model({ initializers: [tensor("w", [large.length / 4], 1, message(9, large))] });
    const source = counted(bytesSource(file));
    const read = await readModel(source);
    source.bytesRead = 0;
    const edited = encodeModel({ ...read, producerName: "hone" });
    const chunks = await Array.fromAsync(chunksOf(edited));
    expect(Math.max(...chunks.map(({ length }) => length))).toBe(2 ** 20);
    expect(chunks).toHaveLength(6);
    expect(source.bytesRead).toBeLessThan(large.length + 2000);
    expect(Buffer.compare(await wholeOf(edited), Buffer.concat(chunks))).toBe(0);
  });

  test("consecutive initializers that nobody edits are one read", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `w${i}`);
    const payload = message(9, new Uint8Array(2000));
    const file = model({ initializers: names.map((name) => tensor(name, [500], 1, payload)) });
    const source = counted(bytesSource(file));
    const read = await readModel(source);
    source.reads = 0;
    const nodes = [{ ...read.graph.nodes[0]!, opType: "Abs" }];
    await modelBytes({ ...read, graph: { ...read.graph, nodes } });
    expect(source.reads).toBe(1);
  });
});

describe("external data", () => {
  const weights = bytesSource(floats(9, 3, 4));
  const read = (file: Uint8Array) =>
    readModel(bytesSource(file), { external: new Map([["weights.bin", weights]]) });

  test("becomes part of the written file, even where nothing was edited", async () => {
    const external = await read(tinyExternalModel);
    expect(external.graph.initializers[0]!.data.kind).toBe("external");
    const written = await modelBytes(external);
    expect(Buffer.from(written).includes("weights.bin")).toBe(false);
    const alone = await readModel(bytesSource(written));
    expect((await readTensor(alone.graph.initializers[0]!)).data).toEqual(Float32Array.of(9, 3));
  });

  test("of a tensor in a node's attribute, too, and its neighbours keep their bytes", async () => {
    const data = bytes(
      message(13, text(1, "location"), text(2, "./weights.bin")),
      message(13, text(1, "offset"), text(2, "4")),
      int(14, 1),
    );
    const constant = node(
      "Constant",
      [],
      ["w"],
      bytes(text(1, "value"), message(5, tensor("", [2], 1, data)), int(20, 4)),
    );
    const neighbour = node("Add", ["x", "w"], ["y"]);
    const external = await read(model({ nodes: [constant, neighbour] }));
    const written = await modelBytes(external);
    const alone = await readModel(bytesSource(written));
    const value = tensorAttribute(alone.graph.nodes[0]!, "value")!;
    expect((await readTensor(value)).data).toEqual(Float32Array.of(3, 4));
    expect(Buffer.from(written).includes(Buffer.from(message(1, neighbour)))).toBe(true);
  });
});

test("dropping and moving initializers keeps the bytes of the rest", async () => {
  const file = model({ initializers: ["a", "b", "c"].map((name) => tensor(name, [2])) });
  const parsed = await readModel(bytesSource(file));
  const [a, , c] = parsed.graph.initializers;
  const edited = { ...parsed, graph: { ...parsed.graph, initializers: [c!, a!] } };
  const again = await readModel(bytesSource(await modelBytes(edited)));
  expect(again.graph.initializers.map(({ name }) => name)).toEqual(["c", "a"]);
});

test("a message of one model can stand in another", async () => {
  const parsed = await readModel(bytesSource(tinyModel));
  const other = { ...made, graph: { ...made.graph, nodes: parsed.graph.nodes } };
  const again = await readModel(bytesSource(await modelBytes(other)));
  expect(await plain(again.graph.nodes)).toEqual(await plain(parsed.graph.nodes));
  // A tensor of an initializer field in an attribute field gets another tag.
  const constant = nodeOf("Constant", [], ["k"], {
    value: { type: "tensor", value: parsed.graph.initializers[0]! },
  });
  const moved = { ...made, graph: { ...made.graph, nodes: [constant] } };
  const read = await readModel(bytesSource(await modelBytes(moved)));
  expect((await readTensor(tensorAttribute(read.graph.nodes[0]!, "value")!)).data).toEqual(
    Float32Array.of(1, 2),
  );
});
