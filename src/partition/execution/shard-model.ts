import type { Model, Node, Tensor, ValueInfo } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import { type Box, boxText, lengthOf, wholeBox } from "./box.ts";
import type { FlatModel } from "./flat.ts";
import type { Read } from "./part.ts";
import { cut } from "./pieces.ts";
import type { Shard, Slice } from "./program.ts";

/** What a shard's model calls its inputs: as the whole model does; with the box where it takes several parts of a value. */
export function inputNames(shard: Shard): string[] {
  return shard.inputs.map(({ value, box }, i) => {
    const repeated = shard.inputs.findIndex((other) => other.value === value) < i;
    return repeated ? `${value}[${boxText(box)}]` : value;
  });
}

/** The ONNX model that a device runs for each of its samples, with the slices of the weights that it needs. */
export function shardModel(flat: FlatModel, shard: Shard): Model {
  const initializers = new Map<string, Tensor>();
  const inputs = inputNames(shard);
  const nameOf = (read: Read): string => {
    const constant = flat.constants.get(read.name);
    if (constant) return constantName(read, constant, initializers);
    const at = shard.inputs.findIndex(
      ({ value, box }) => value === read.name && boxText(box) === boxText(read.box),
    );
    return at < 0 ? read.name : (inputs[at] as string);
  };
  const nodes = shard.nodes.flatMap(({ node, part }): Node[] =>
    part.nodes(part.reads.map(nameOf), node.outputs),
  );
  const outputs = shard.outputs.map(({ value }) => value);
  const info = (names: readonly string[], slices: readonly Slice[]) =>
    names.map((name, i) => valueInfo(flat, name, slices[i] as Slice));
  const { irVersion, opsetImports, functions } = flat.model;
  return {
    irVersion,
    opsetImports,
    functions,
    metadata: [],
    graph: {
      name: "shard",
      nodes,
      initializers: [...initializers.values()],
      sparseInitializers: [],
      inputs: info(inputs, shard.inputs),
      outputs: info(outputs, shard.outputs),
      valueInfo: [],
    },
  };
}

/** Adds the slice to the initializers; answers its name. */
function constantName(read: Read, constant: TensorValue, initializers: Map<string, Tensor>): string {
  const whole = wholeBox(constant.dims);
  const isWhole = boxText(whole) === boxText(read.box);
  const name = `${read.name}${isWhole ? "" : `[${boxText(read.box)}]`}${read.zeroed ? "=0" : ""}`;
  if (initializers.has(name)) return name;
  const value = cut({ box: whole, tensor: constant }, read.box);
  initializers.set(name, tensorOf(name, read.zeroed ? zeros(value) : value));
  return name;
}

function zeros(value: TensorValue): TensorValue {
  const { data } = value;
  if (!ArrayBuffer.isView(data)) return value;
  return { ...value, data: data.slice().fill(0 as never) };
}

function valueInfo(flat: FlatModel, name: string, { value, box }: Slice): ValueInfo {
  const facts = flat.values.get(value);
  const dataType = facts?.dataType ?? 0;
  return { name, type: { kind: "tensor", dataType, ...(facts?.dims ? { shape: sizes(box) } : {}) } };
}

function sizes(box: Box): number[] {
  return box.map(lengthOf);
}
