import { expect } from "vitest";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Model, Node, Tensor } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { floats } from "../tiny.ts";
import { relativeDifference, runNative } from "./native.ts";

/** Random float values from a seed. */
export function random(dims: readonly number[], seed = 3): TensorValue {
  return { dataType: DataType.FLOAT, dims, data: floats(dims, seed) };
}

export function int64Tensor(name: string, entries: readonly number[], dims = [entries.length]): Tensor {
  return tensorOf(name, { dataType: DataType.INT64, dims, data: BigInt64Array.from(entries, BigInt) });
}

export function floatsTensor(name: string, dims: readonly number[], entries: readonly number[]): Tensor {
  return tensorOf(name, { dataType: DataType.FLOAT, dims, data: Float32Array.from(entries) });
}

export function randomTensor(name: string, dims: readonly number[], seed = 5): Tensor {
  return tensorOf(name, random(dims, seed));
}

/**
 * Simplifies the model after a trip through its file form, runs both in ONNX Runtime without graph optimisation and
 * compares every output: equal within 1e-5 of the largest entry. Never more bytes.
 */
export async function simplifiedAndSame(model: Model, ...feeds: Feeds[]): Promise<Model> {
  const before = await modelBytes(model);
  const read = await readModel(bytesSource(before));
  validateModel(read);
  const simplified = (await simplify(read)).model;
  const after = await modelBytes(simplified);
  expect(after.length).toBeLessThanOrEqual(before.length);
  const reread = await readModel(bytesSource(after));
  validateModel(reread);
  expect(reread.graph.outputs).toEqual(model.graph.outputs);
  for (const feed of feeds) {
    const [expected, actual] = [await runNative(before, feed), await runNative(after, feed)];
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    for (const [name, value] of Object.entries(expected)) {
      expect(relativeDifference(value, actual[name]!), name).toBeLessThanOrEqual(1e-5);
    }
  }
  return reread;
}

/** The nodes as text, one a line: "Conv(x, w, b) → y". */
export function printed(nodes: readonly Node[]): string {
  return nodes
    .map(({ opType, inputs, outputs }) => `${opType}(${inputs.join(", ")}) → ${outputs.join(", ")}`)
    .join("\n");
}
