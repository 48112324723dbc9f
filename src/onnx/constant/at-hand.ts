import type { Attribute, Node, Tensor } from "../model.ts";
import { readTensor, tensorOf } from "../tensor.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import { allocate, checkedDims, need } from "./values.ts";

/** Attribute tensors above this many elements are left where they are. */
const MAX_ELEMENTS = 1 << 22;

/** The node with its tensor attributes read into memory as raw bytes, as evaluateNode wants them. */
export async function withTensorsAtHand(node: Node): Promise<Node> {
  if (!node.attributes.some(({ value }) => value.type === "tensor")) return node;
  const attributes: Attribute[] = [];
  for (const attribute of node.attributes) {
    const { value } = attribute;
    const small = value.type === "tensor" && elementCount(value.value.dims) <= MAX_ELEMENTS;
    attributes.push(
      small ? { ...attribute, value: { type: "tensor", value: await rawTensor(value.value) } } : attribute,
    );
  }
  return { ...node, attributes };
}

async function rawTensor(tensor: Tensor): Promise<Tensor> {
  return tensorOf(tensor.name, await readTensor(tensor));
}

/** The value of a tensor whose raw bytes are in memory. @throws NotEvaluable when they are not. */
export function tensorAtHand(tensor: Tensor): TensorValue {
  const { data, dims, dataType } = tensor;
  need(data.kind === "raw" && data.bytes instanceof Uint8Array, "bytes not at hand");
  const target = allocate(dataType, elementCount(checkedDims(dims)));
  need(!Array.isArray(target) && target.byteLength === data.bytes.byteLength, "length of the bytes");
  new Uint8Array(target.buffer).set(data.bytes);
  return { dataType, dims, data: target };
}
