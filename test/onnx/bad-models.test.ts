import { describe, expect, test } from "vitest";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { validateModel } from "../../src/onnx/validate.ts";
import { encodeModel } from "../../src/onnx/write.ts";
import {
  badModels,
  bytes,
  fixed32,
  floats,
  graph,
  int,
  int64s,
  message,
  model,
  node,
  sparse,
  tensor,
  text,
  tinyExternalModel,
  tinyModel,
} from "./bytes.ts";
import { check, codeOf, modelErrorOf } from "./check.ts";

describe("an upload that is wrong in one way is refused with the code of this way", () => {
  for (const [code, upload] of Object.entries(badModels)) {
    test(code, async () => {
      const error = await modelErrorOf(check(upload));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(/; .|upload/);
    });
  }
});

test("the model that the bad ones are made from is accepted", async () => {
  const read = await check(tinyModel);
  expect(read.graph.nodes.map(({ opType }) => opType)).toEqual(["Add", "Relu"]);
});

describe("files of other formats are named", () => {
  test.each([
    ["zip", "PK\x03\x04", "zip"],
    ["Keras", "\x89HDF\r\n\x1a\n", "Keras"],
    ["TensorFlow Lite", "\x1c\0\0\0TFL3", "TensorFlow Lite"],
    ["safetensors", '\x10\0\0\0\0\0\0\0{"a":1}', "safetensors"],
    ["JSON", '{"model": 1}', "does not start with"],
    ["HTML", "<!doctype html>", "does not start with"],
    ["text", "\n\nhello", "does not start with"],
  ])("%s", async (_name, start, said) => {
    const file = Uint8Array.from(`${start}${"\0".repeat(100)}`, (char) => char.charCodeAt(0));
    const error = await modelErrorOf(readModel(bytesSource(file)));
    expect(error.code).toBe("not_onnx");
    expect(error.message).toContain(said);
  });
});

describe("limits", () => {
  test("a model with more fields than allowed is refused", async () => {
    const many = model({
      nodes: Array.from({ length: 50 }, () => new Uint8Array(0)),
      inputs: [],
      outputs: [],
    });
    expect(await codeOf(readModel(bytesSource(many), { limits: { items: 40 } }))).toBe("too_many_items");
  });

  test("packed numbers count as items", async () => {
    const ints = bytes(text(1, "a"), message(8, new Uint8Array(2000)), int(20, 7));
    const file = model({ nodes: [node("Relu", ["x"], ["y"], ints)] });
    expect(await codeOf(readModel(bytesSource(file), { limits: { items: 1000 } }))).toBe("too_many_items");
  });

  test("a skeleton larger than allowed is refused before it is loaded", async () => {
    const file = model({ more: [text(10, "long".repeat(100_000))] });
    const read = readModel(bytesSource(file), { limits: { skeletonBytes: 100_000 } });
    expect(await codeOf(read)).toBe("skeleton_too_large");
  });

  test("a model past 2^31-1 bytes is not written", async () => {
    const read = await check(tinyModel);
    const source = { size: 2 ** 32, read: () => Promise.reject(new Error("nothing is read")) };
    const data = { kind: "raw", bytes: { source, offset: 0, length: 2 ** 31 - 1 } } as const;
    const initializers = [{ name: "w", dataType: 1, dims: [2 ** 29], data }];
    const large = { ...read, graph: { ...read.graph, initializers } };
    expect(await codeOf(Promise.resolve().then(() => encodeModel(large)))).toBe("too_large_to_write");
  });
});

describe("further ways to be wrong", () => {
  const withTensor = (one: Uint8Array) =>
    model({ nodes: [node("Add", ["x", "w"], ["y"])], initializers: [one] });

  test.each([
    ["negative dimensions", withTensor(tensor("w", [-2])), "dimension_overflow"],
    [
      "four dimensions whose product overflows",
      withTensor(tensor("w", [2 ** 20, 2 ** 20, 2 ** 20, 1])),
      "dimension_overflow",
    ],
    [
      "a typed field with one number too few",
      withTensor(tensor("w", [2], 1, message(4, floats(1)))),
      "shape_bytes_mismatch",
    ],
    [
      "a varint field with one number too few",
      withTensor(tensor("w", [2], 7, message(7, varints(1)))),
      "shape_bytes_mismatch",
    ],
    ["strings of the wrong number", withTensor(tensor("w", [2], 8, text(6, "a"))), "shape_bytes_mismatch"],
    ["strings in a float tensor", withTensor(tensor("w", [1], 1, text(6, "a"))), "wrong_data_field"],
    ["a tensor of a node with too few bytes", withNodeTensor(tensor("", [3])), "shape_bytes_mismatch"],
    [
      "a second value of a graph input",
      model({ nodes: [node("Relu", ["x"], ["y"]), node("Abs", ["y"], ["x"])] }),
      "duplicate_value",
    ],
    [
      "a node output that is an initializer, too",
      model({ initializers: [tensor("y", [2])] }),
      "duplicate_value",
    ],
    ["two graph inputs of one name", model({ inputs: ["x", "x"] }), "duplicate_value"],
    ["a node that needs itself", model({ nodes: [node("Add", ["x", "y"], ["y"])] }), "cyclic_graph"],
    ["no IR version", bytes(message(7, graph()), message(8, int(2, 13))), "unsupported_ir_version"],
    ["opset 6", model({}, 6), "unsupported_opset"],
    ["a field number of zero", bytes(int(1, 8), [0x02, 0x00]), "malformed_field"],
    [
      "a varint that does not end",
      bytes(int(1, 8), [0x28], new Uint8Array(11).fill(0xff)),
      "malformed_field",
    ],
    ["a length past 2^53", bytes(int(1, 8), [0x3a], new Uint8Array(9).fill(0xff), [0x01]), "truncated"],
    ["a file cut in a tag", bytes(tinyModel, [0x80]), "truncated"],
    [
      "packed floats of 3 bytes",
      model({ nodes: [node("Relu", ["x"], ["y"], bytes(text(1, "a"), message(7, bytes([1, 2, 3]))))] }),
      "malformed_field",
    ],
    [
      "packed ints that are cut off",
      model({ nodes: [node("Relu", ["x"], ["y"], bytes(text(1, "a"), message(8, bytes([0x80]))))] }),
      "malformed_field",
    ],
    ["an absolute external path", withTensor(externalAt("/etc/passwd")), "external_data_path"],
    ["an external path with a backslash", withTensor(externalAt("..\\w")), "external_data_path"],
    ["an external path that goes up within", withTensor(externalAt("a/../../w")), "external_data_path"],
    ["no external path", withTensor(externalAt("")), "external_data_path"],
    [
      "sparse indices past the shape",
      withSparse(tensor("w", [1], 1, message(9, floats(1))), tensor("", [1], 7, message(9, int64s(2)))),
      "invalid_sparse_tensor",
    ],
    [
      "sparse indices that are negative",
      withSparse(tensor("w", [1], 1, message(9, floats(1))), tensor("", [1], 7, message(9, int64s(-1)))),
      "invalid_sparse_tensor",
    ],
    [
      "sparse indices twice the same",
      withSparse(tensor("w", [2]), tensor("", [2], 7, message(9, int64s(1, 1)))),
      "invalid_sparse_tensor",
    ],
    [
      "more sparse indices than values",
      withSparse(tensor("w", [2]), tensor("", [1], 7, message(9, int64s(1)))),
      "invalid_sparse_tensor",
    ],
    ["float sparse indices", withSparse(tensor("w", [2]), tensor("", [2])), "invalid_sparse_tensor"],
    ["a sparse shape far larger than what is stored", hugeSparse(), "invalid_sparse_tensor"],
    [
      "no sparse values",
      model({ sparseInitializers: [message(2, tensor("", [2]))] }),
      "invalid_sparse_tensor",
    ],
    [
      "a subgraph that makes an outer name again",
      subgraphModel(node("Relu", ["x"], ["h"]), "h"),
      "duplicate_value",
    ],
    [
      "a subgraph that needs an unknown value",
      subgraphModel(node("Relu", ["gone"], ["t"]), "t"),
      "dangling_input",
    ],
    [
      "a subgraph that answers an outer value",
      subgraphModel(node("Relu", ["x"], ["t"]), "x"),
      "dangling_output",
    ],
    ["a cycle through a subgraph", subgraphModel(node("Relu", ["y"], ["t"]), "t"), "cyclic_graph"],
  ] as const)("%s", async (_what, file, code) => {
    expect(await codeOf(check(file))).toBe(code);
  });

  test("a typed field with a number too many is found when it is read", async () => {
    const { readTensor } = await import("../../src/onnx/tensor.ts");
    const read = await check(withTensor(tensor("w", [2], 7, message(7, varints(1, 2, 3)))));
    expect(await codeOf(readTensor(read.graph.initializers[0]!))).toBe("shape_bytes_mismatch");
  });

  function varints(...values: number[]) {
    return Uint8Array.from(values);
  }

  function withNodeTensor(one: Uint8Array) {
    const constant = bytes(text(1, "value"), message(5, one), int(20, 4));
    return model({ nodes: [node("Constant", [], ["w"], constant), node("Add", ["x", "w"], ["y"])] });
  }

  function withSparse(values: Uint8Array, indices: Uint8Array) {
    return model({
      nodes: [node("Add", ["x", "w"], ["y"])],
      sparseInitializers: [sparse(values, indices, [2])],
    });
  }

  function hugeSparse() {
    const values = tensor("w", [1], 1, message(9, floats(1)));
    const indices = tensor("", [1], 7, message(9, int64s(1)));
    return model({ sparseInitializers: [sparse(values, indices, [2 ** 30])] });
  }

  function externalAt(location: string) {
    return tensor("w", [2], 1, message(13, text(1, "location"), text(2, location)), int(14, 1));
  }

  /** h = Abs(x), y = If(c) of one branch with this node and output. */
  function subgraphModel(inner: Uint8Array, output: string) {
    const branch = graph({ nodes: [inner], inputs: [], outputs: [output] });
    const attribute = bytes(text(1, "then_branch"), message(6, branch), int(20, 5));
    return model({
      inputs: ["x", "c"],
      nodes: [node("Abs", ["x"], ["h"]), node("If", ["c"], ["y"], attribute)],
    });
  }
});

describe("what is unusual but right is accepted", () => {
  test("an operator that nobody knows", async () => {
    const file = model({ nodes: [node("Frobnicate", ["x"], ["y"], bytes(text(1, "a"), fixed32(2, 1)))] });
    expect((await check(file)).graph.nodes[0]!.opType).toBe("Frobnicate");
  });

  test("a graph input with an initializer, as IR versions before 4 have them", async () => {
    const file = model(
      { inputs: ["x", "w"], nodes: [node("Add", ["x", "w"], ["y"])], initializers: [tensor("w", [2])] },
      7,
      3,
    );
    expect((await check(file)).graph.inputs).toHaveLength(2);
  });

  test("a missing external file where that is allowed", async () => {
    const read = await readModel(bytesSource(tinyExternalModel), { allowMissingExternal: true });
    validateModel(read);
    expect(read.graph.initializers[0]!.data).toEqual({
      kind: "external",
      location: "weights.bin",
      span: null,
    });
    expect(await codeOf(Promise.resolve().then(() => encodeModel(read)))).toBe("external_data_missing");
  });
});
