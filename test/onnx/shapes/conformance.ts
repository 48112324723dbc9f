import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Graph, Model, Tensor, ValueInfo } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";

/** Debian's libonnx-testdata: the node tests of ONNX, each a model with inputs and expected outputs. */
const FOLDER = "/usr/share/libonnx-testdata/data/node";

export const conformanceMissing = existsSync(FOLDER) ? null : "install libonnx-testdata for these tests";

export function conformanceTests(): string[] {
  return conformanceMissing ? [] : readdirSync(FOLDER).sort();
}

export async function conformanceModel(name: string): Promise<Model> {
  return readModel(bytesSource(new Uint8Array(readFileSync(join(FOLDER, name, "model.onnx")))));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function field(number: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from([(number << 3) | 2, ...varint(payload.length), ...payload]);
}

/** A file of one TensorProto, read as the only initializer of a model made around it. */
async function tensorFile(path: string): Promise<Tensor | undefined> {
  const graph = field(7, field(5, new Uint8Array(readFileSync(path))));
  const model = Uint8Array.from([8, 8, ...graph, ...field(8, Uint8Array.from([16, 13]))]);
  return (await readModel(bytesSource(model))).graph.initializers[0];
}

/** The first data set's tensors for these values; undefined where a value is no tensor. */
async function dataSet(name: string, kind: "input" | "output", values: readonly ValueInfo[]) {
  return Promise.all(
    values.map(async ({ type }, i) => {
      const path = join(FOLDER, name, "test_data_set_0", `${kind}_${i}.pb`);
      return type?.kind === "tensor" && existsSync(path) ? tensorFile(path) : undefined;
    }),
  );
}

export async function conformanceInputs(name: string, model: Model): Promise<(Tensor | undefined)[]> {
  return dataSet(name, "input", model.graph.inputs);
}

export async function conformanceOutputs(name: string, model: Model): Promise<(Tensor | undefined)[]> {
  return dataSet(name, "output", model.graph.outputs);
}

/** The model with its declared output and intermediate shapes taken away, so that only rules can tell them. */
export function undeclared(model: Model): Model {
  const graph: Graph = {
    ...model.graph,
    valueInfo: [],
    outputs: model.graph.outputs.map(({ name }) => ({ name })),
  };
  return { ...model, graph };
}

/** The model with its test inputs as initializers, where shapes depend on what they hold. */
export function withInputs(model: Model, inputs: readonly (Tensor | undefined)[]): Model {
  const given = inputs.flatMap((tensor, i) => {
    const name = model.graph.inputs[i]?.name;
    return tensor && name ? [{ ...tensor, name }] : [];
  });
  return { ...model, graph: { ...model.graph, initializers: [...model.graph.initializers, ...given] } };
}
