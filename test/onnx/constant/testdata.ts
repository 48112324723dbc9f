import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Model, Tensor, ValueInfo } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { readTensor } from "../../../src/onnx/tensor.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";

/** The operator tests of ONNX itself, from Debian's package libonnx-testdata. */
const FOLDER = "/usr/share/libonnx-testdata/data/node";

/** Why the operator tests cannot run here, or null. */
export const testdataMissing = existsSync(FOLDER)
  ? null
  : "Debian's libonnx-testdata is not installed (apt-get install libonnx-testdata)";

/** Names of the operator tests, sorted. */
export function testNames(): string[] {
  return testdataMissing ? [] : readdirSync(FOLDER).sort();
}

export async function testModelBytes(name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(FOLDER, name, "model.onnx")));
}

/** Inputs and expected outputs of the first data set, by position; null where one is no dense tensor. */
export async function testValues(
  name: string,
  model: Model,
): Promise<{ inputs: TensorValue[]; outputs: TensorValue[] } | null> {
  const dense = [...model.graph.inputs, ...model.graph.outputs].every(({ type }) => type?.kind === "tensor");
  if (!dense) return null;
  const folder = join(FOLDER, name, "test_data_set_0");
  const read = async (kind: string, infos: readonly ValueInfo[]) => {
    const values: TensorValue[] = [];
    for (const [i, { type }] of infos.entries()) {
      const value = await readTensor(await tensorFile(join(folder, `${kind}_${i}.pb`)));
      // NumPy has no bfloat16: ONNX's generator stored those as uint16.
      const bfloat16 = type?.kind === "tensor" && type.dataType === DataType.BFLOAT16;
      values.push(bfloat16 ? { ...value, dataType: DataType.BFLOAT16 } : value);
    }
    return values;
  };
  return {
    inputs: await read("input", model.graph.inputs),
    outputs: await read("output", model.graph.outputs),
  };
}

/** A file that is a TensorProto: read as the one initializer of an otherwise empty model. */
async function tensorFile(path: string): Promise<Tensor> {
  const tensor = new Uint8Array(await readFile(path));
  const graph = field(5, tensor);
  const opset = Uint8Array.of(0x10, 13);
  const model = await readModel(
    bytesSource(joined([Uint8Array.of(0x08, 8), field(7, graph), field(8, opset)])),
  );
  return model.graph.initializers[0]!;
}

function field(number: number, payload: Uint8Array): Uint8Array {
  const header = [(number << 3) | 2];
  for (let rest = payload.length; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      header.push(rest);
      break;
    }
    header.push((rest % 128) | 128);
  }
  return joined([Uint8Array.from(header), payload]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
