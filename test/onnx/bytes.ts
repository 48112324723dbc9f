import { zipSync } from "fflate";
import type { ModelErrorCode } from "../../src/onnx/errors.ts";

/** Protobuf by hand: what no exporter would write has to be written here. */

export type Part = Uint8Array;

export function bytes(...parts: (Part | readonly number[])[]): Part {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function varint(value: number | bigint): Part {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...out, Number(rest)]);
}

export const int = (field: number, value: number | bigint): Part => bytes(varint(field * 8), varint(value));

export const message = (field: number, ...parts: Part[]): Part => {
  const body = bytes(...parts);
  return bytes(varint(field * 8 + 2), varint(body.length), body);
};

export const text = (field: number, value: string): Part => message(field, new TextEncoder().encode(value));

export const fixed32 = (field: number, value: number): Part =>
  bytes(varint(field * 8 + 5), new Uint8Array(Float32Array.of(value).buffer));

export const floats = (...values: number[]): Part => new Uint8Array(Float32Array.from(values).buffer);
export const int64s = (...values: number[]): Part =>
  new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);

/** TensorProto: `data` are further fields, raw_data of two floats where nothing is said. */
export function tensor(name: string, dims: readonly (number | bigint)[], type = 1, ...data: Part[]): Part {
  const payload = data.length > 0 ? data : [message(9, floats(1, 2))];
  return bytes(...dims.map((dim) => int(1, dim)), int(2, type), text(8, name), ...payload);
}

export function sparse(values: Part, indices: Part, dims: readonly number[]): Part {
  return bytes(message(1, values), message(2, indices), ...dims.map((dim) => int(3, dim)));
}

/** NodeProto. */
export function node(op: string, inputs: string[], outputs: string[], ...more: Part[]): Part {
  return bytes(
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...more.map((attribute) => message(5, attribute)),
  );
}

/** ValueInfoProto of a float tensor [2]. */
export const value = (name: string): Part =>
  bytes(text(1, name), message(2, message(1, int(1, 1), message(2, message(1, int(1, 2))))));

export interface GraphParts {
  readonly nodes?: Part[];
  readonly initializers?: Part[];
  readonly sparseInitializers?: Part[];
  readonly inputs?: string[];
  readonly outputs?: string[];
  readonly more?: Part[];
}

/** GraphProto: y = Relu(x) where nothing else is said. */
export function graph(parts: GraphParts = {}): Part {
  const {
    nodes = [node("Relu", ["x"], ["y"])],
    initializers = [],
    sparseInitializers = [],
    inputs = ["x"],
    outputs = ["y"],
    more = [],
  } = parts;
  return bytes(
    ...nodes.map((one) => message(1, one)),
    text(2, "g"),
    ...initializers.map((one) => message(5, one)),
    ...inputs.map((name) => message(11, value(name))),
    ...outputs.map((name) => message(12, value(name))),
    ...sparseInitializers.map((one) => message(15, one)),
    ...more,
  );
}

/** ModelProto of IR version 8, opset 13. */
export function model(parts: GraphParts = {}, opset = 13, irVersion = 8): Part {
  return bytes(int(1, irVersion), message(7, graph(parts)), message(8, int(2, opset)));
}

const withTensor = (one: Part): Part =>
  model({ nodes: [node("Add", ["x", "w"], ["y"])], initializers: [one] });

const withSparse = (values: Part, indices: Part): Part =>
  model({ nodes: [node("Add", ["x", "w"], ["y"])], sparseInitializers: [sparse(values, indices, [2])] });

const external = (...entries: [key: string, value: string][]): Part =>
  bytes(...entries.map(([key, text_]) => message(13, text(1, key), text(2, text_))), int(14, 1));

/** y = Relu(x + w) with w = [1, 2]: valid, and small enough to damage anywhere. */
export const tinyModel: Uint8Array = model({
  nodes: [node("Add", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
  initializers: [tensor("w", [2])],
});

/** tinyModel with w in a file "weights.bin" of 8 bytes. */
export const tinyExternalModel: Uint8Array = withTensor(
  tensor("w", [2], 1, external(["location", "weights.bin"], ["offset", "0"], ["length", "8"])),
);

/** y = x·w with w of so many bytes, square or nearly, in a file. */
export function externalModel(location: string, bytes_: number): Part {
  const entries = external(["location", location], ["offset", "0"], ["length", String(bytes_)]);
  return model({
    nodes: [node("MatMul", ["x", "w"], ["y"])],
    initializers: [tensor("w", [64, bytes_ / 256], 1, entries)],
  });
}

/** y = x·w₁·w₂·w₃, 12 TB of weights in a file that does not exist. */
export const hugeExternalModel: Uint8Array = model({
  nodes: [
    node("MatMul", ["x", "w1"], ["a"]),
    node("MatMul", ["a", "w2"], ["b"]),
    node("MatMul", ["b", "w3"], ["y"]),
  ],
  initializers: ["w1", "w2", "w3"].map((name) =>
    tensor(name, [1_000_000, 1_000_000], 1, external(["location", "weights.bin"])),
  ),
});

function nested(levels: number): Part {
  let inner = graph();
  for (let level = 0; level < levels; level++) {
    const attribute = bytes(text(1, "then_branch"), message(6, inner), int(20, 5));
    inner = graph({ nodes: [node("If", ["x"], ["y"], attribute)] });
  }
  return bytes(int(1, 8), message(7, inner), message(8, int(2, 13)));
}

/** A tar of empty contents except where given; sizes in the headers are right. */
export function tar(files: Readonly<Record<string, Uint8Array>>, kind = "0"): Uint8Array {
  const blocks: Part[] = [];
  for (const [name, content] of Object.entries(files)) {
    const header = new Uint8Array(512);
    const put = (at: number, value_: string) => header.set(new TextEncoder().encode(value_), at);
    put(0, name);
    put(124, content.length.toString(8).padStart(11, "0"));
    put(148, "        ");
    put(156, kind);
    put(257, "ustar\u000000");
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
    blocks.push(header, content, new Uint8Array((512 - (content.length % 512)) % 512));
  }
  return bytes(...blocks, new Uint8Array(1024));
}

/** A zip whose directory states this unpacked size for every entry. */
export function zipClaiming(zipped: Uint8Array, size: number): Uint8Array {
  const changed = zipped.slice();
  const view = new DataView(changed.buffer);
  let at = view.getUint32(changed.length - 22 + 16, true);
  while (view.getUint32(at, true) === 0x02014b50) {
    view.setUint32(at + 24, size, true);
    at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return changed;
}

const zip = (files: Record<string, Uint8Array>, level: 0 | 6 = 0): Uint8Array => zipSync(files, { level });

/** Codes whose files would be huge: tested with lower limits or virtual sources. */
export type HugeCode = "too_many_items" | "skeleton_too_large" | "too_large_to_write";

/** For every way in which an upload can be wrong, a file that is wrong in just this way. */
export const badModels: Readonly<Record<Exclude<ModelErrorCode, HugeCode>, Uint8Array>> = {
  empty: new Uint8Array(0),
  not_onnx: Uint8Array.from({ length: 512 }, (_, i) => (i * 167 + 93) & 0xff),
  truncated: tinyModel.slice(0, tinyModel.length - 20),
  malformed_field: bytes(int(1, 8), [0x3b], message(7, graph())),
  wrong_wire_type: bytes(int(1, 8), int(7, 1), message(8, int(2, 13))),
  length_out_of_bounds: bytes(int(1, 8), message(7, bytes([0x0a, 0x7f, 0x01])), message(8, int(2, 13))),
  duplicate_field: bytes(int(1, 8), message(7, graph()), message(7, graph()), message(8, int(2, 13))),
  invalid_utf8: model({ more: [message(10, Uint8Array.of(0xc3, 0x28))] }),
  nesting_too_deep: nested(60),
  missing_graph: bytes(int(1, 8), message(8, int(2, 13))),
  unsupported_ir_version: model({}, 13, 99),
  missing_opset: bytes(int(1, 8), message(7, graph())),
  unsupported_opset: model({}, 999),
  cyclic_graph: model({ nodes: [node("Add", ["x", "y"], ["h"]), node("Relu", ["h"], ["y"])] }),
  dangling_input: model({ nodes: [node("Add", ["x", "nowhere"], ["y"])] }),
  dangling_output: model({ outputs: ["nowhere"] }),
  duplicate_value: model({ nodes: [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])] }),
  duplicate_tensor: model({
    nodes: [node("Add", ["x", "w"], ["y"])],
    initializers: [tensor("w", [2]), tensor("w", [2])],
  }),
  duplicate_node: model({
    nodes: [
      bytes(node("Relu", ["x"], ["h"]), text(3, "same")),
      bytes(node("Abs", ["h"], ["y"]), text(3, "same")),
    ],
  }),
  invalid_attribute: model({
    nodes: [node("Relu", ["x"], ["y"], bytes(text(1, "value"), int(20, 4)))],
  }),
  unknown_data_type: withTensor(tensor("w", [2], 99)),
  ambiguous_tensor_data: withTensor(tensor("w", [2], 1, message(9, floats(1, 2)), message(4, floats(1, 2)))),
  wrong_data_field: withTensor(tensor("w", [2], 1, message(7, bytes([1, 2])))),
  shape_bytes_mismatch: withTensor(tensor("w", [3])),
  dimension_overflow: withTensor(tensor("w", [2n ** 40n, 2n ** 40n])),
  invalid_sparse_tensor: withSparse(tensor("w", [2]), tensor("", [2], 7, message(9, int64s(1, 0)))),
  external_data_missing: tinyExternalModel,
  external_data_path: withTensor(tensor("w", [2], 1, external(["location", "../weights.bin"]))),
  external_data_invalid: zip({
    "model.onnx": withTensor(tensor("w", [2], 1, external(["location", "weights.bin"], ["offset", "-1"]))),
    "weights.bin": floats(1, 2),
  }),
  external_data_out_of_bounds: zip({ "model.onnx": tinyExternalModel, "weights.bin": floats(1) }),
  archive_malformed: zip({ "model.onnx": tinyModel }).slice(0, -30),
  archive_unsupported: tar({ "model.onnx": tinyModel }, "2"),
  archive_entry_name: tar({ "../model.onnx": tinyModel }),
  archive_too_large: zipClaiming(
    zip({ "model.onnx": tinyModel, a: floats(1), b: floats(1), c: floats(1), d: floats(1) }, 6),
    2 ** 32 - 2,
  ),
  archive_without_model: zip({ "weights.bin": floats(1) }),
  archive_with_several_models: zip({ "a.onnx": tinyModel, "b.onnx": tinyModel }),
};
