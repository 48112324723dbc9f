import { bitsPerElement } from "../../onnx/data-type.ts";
import { interleaved } from "../../onnx/interleaved.ts";
import type { Tensor } from "../../onnx/model.ts";
import { byteLength } from "../../onnx/source.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { overheadBytes } from "../storage/decode-nodes.ts";
import type { Decode, StoredPart, StoredWeight } from "../storage/stored-weight.ts";

/**
 * The blocks of a weight as one stored weight, where they are all stored alike and in place: numbers, or integers with a
 * scale for each row. null where they are not: codes of levels, masks or gaps that belong to one block each.
 *
 * @param axis of the weight along which the blocks lie
 */
export function joinStored(
  blocks: readonly StoredWeight[],
  axis: number,
  dims: readonly number[],
  opset: number,
): StoredWeight | null {
  const [first] = blocks;
  if (!first || !blocks.every((block) => alike(block.decode, first.decode, axis))) return null;
  const { decode } = first;
  const parts: StoredPart[] = [];
  const factors: Decode["factors"][number][] = [];
  for (const [i, { role }] of first.parts.entries()) {
    const tensors = blocks.map(({ parts: own }) => own[i]!.tensor as Tensor);
    if (role === "elements") {
      parts.push({ role, tensor: joined(tensors, axis) });
      continue;
    }
    const own = decode.factors[factors.length]!;
    const along = own.dims.length === 1 ? 0 : axis;
    const tensor = joined(tensors, along);
    parts.push({ role, tensor });
    factors.push({ ...own, dims: tensor.dims });
  }
  const whole: Decode = { ...decode, dims, view: dims, factors };
  const overhead = overheadBytes(whole, opset);
  const payload = blocks.reduce((sum, block) => sum + block.bytes - overheadBytes(block.decode, opset), 0);
  return { ...first, parts, decode: whole, bytes: payload + overhead };
}

/** Whether the blocks differ in nothing but how many rows they have, and each of their rows stands for itself. */
function alike(a: Decode, b: Decode, axis: number): boolean {
  const inPlace = a.placement.kind === "dense" || a.placement.kind === "dequantize";
  const plain = a.elements.kind === "numbers" || a.elements.kind === "integers";
  const scaled = a.factors.every(({ dims }) => {
    const one = dims.length === 1 && a.placement.kind === "dequantize";
    const own = one ? a.placement.kind === "dequantize" && a.placement.axis === axis : true;
    return own && dims[one ? 0 : axis] === a.dims[axis];
  });
  return inPlace && plain && scaled && isSame(a.view, a.dims) && isSame(form(a, axis), form(b, axis));
}

/** What of a block's decoding does not follow from its number of rows. */
function form({ dims, dataType, elements, placement, factors }: Decode, axis: number): unknown {
  const without = (all: readonly number[]) => all.map((dim, i) => (all.length === 1 || i === axis ? 0 : dim));
  return [
    without(dims),
    dataType,
    elements,
    placement,
    factors.map(({ dims: own, half }) => [without(own), half]),
  ];
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function joined(tensors: readonly Tensor[], axis: number): Tensor {
  const [{ name, dataType, dims }] = tensors as [Tensor];
  const payloads = tensors.map(({ data }) => {
    if (data.kind !== "raw") throw new RangeError("results hold raw data");
    return data.bytes;
  });
  const size = tensors.reduce((sum, tensor) => sum + tensor.dims[axis]!, 0);
  const shape = dims.map((dim, i) => (i === axis ? size : dim));
  const bytes = interleaved(payloads, elementCount(dims.slice(0, axis)));
  if (byteLength(bytes) * 8 !== elementCount(shape) * bitsPerElement(dataType)!) {
    throw new RangeError("blocks of a weight do not end on whole bytes");
  }
  return { name, dataType, dims: shape, data: { kind: "raw", bytes } };
}
