import { type Node, ORIGIN, type Tensor } from "../../onnx/model.ts";
import { tensorByteLength } from "../../onnx/tensor.ts";

/** Bytes that a node takes in the file: exact as read, close (and never too much) when edited. */
export function nodeBytes(node: Node): number {
  const origin = node[ORIGIN];
  if (origin) return origin.length + 2;
  const names = [...node.inputs, ...node.outputs, node.opType, node.name, node.domain];
  const attributes = node.attributes.reduce((sum, attribute) => sum + attributeBytes(attribute), 0);
  return names.reduce((sum, name) => sum + name.length + (name ? 2 : 0), 2) + attributes;
}

function attributeBytes(attribute: Node["attributes"][number]): number {
  const origin = attribute[ORIGIN];
  if (origin) return origin.length + 2;
  const { value } = attribute;
  const payload =
    value.type === "ints" || value.type === "floats"
      ? 2 * value.value.length
      : value.type === "tensor"
        ? initializerBytes(value.value)
        : 2;
  return attribute.name.length + 6 + payload;
}

/** Bytes that an initializer takes in the file. */
export function initializerBytes(tensor: Tensor): number {
  const origin = tensor[ORIGIN];
  if (origin) return origin.length + 2;
  return tensorByteLength(tensor) + tensor.name.length + 2 * tensor.dims.length + 10;
}
