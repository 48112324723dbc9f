import { intAttribute, withAttributes } from "../../onnx/edit.ts";
import type { Node } from "../../onnx/model.ts";
import { weightInputs } from "../../onnx/operators/weight-roles.ts";
import { type Box, lengthOf, type Range, wholeBox } from "./box.ts";
import { embeddingPart } from "./embedding-part.ts";
import { along, type LayerNode, type Part, type Read, slicedPart, unitsOf } from "./part.ts";
import type { Portion } from "./work.ts";

/**
 * A device's part of a layer with a weight: the slice of the weight, what it reads of the input, and what it makes of the
 * output. The bias goes with the first range of input channels.
 *
 * @returns null where the layer cannot be divided (recurrent and quantized ones, sizes that depend on the numbers fed)
 */
export function layerPart(layer: LayerNode, portion: Portion): Part | null {
  const { node, dimsOf, isConstant } = layer;
  const weight = weightInputs(node).find(({ index }) => isConstant(node.inputs[index] ?? ""));
  if (!weight || weight.quantized || (node.domain !== "" && node.domain !== "ai.onnx")) return null;
  if (node.inputs.some((name) => name !== "" && !dimsOf(name)) || !dimsOf(node.outputs[0] ?? "")) return null;
  switch (node.opType) {
    case "Conv":
    case "ConvTranspose":
      return intAttribute(node, "group", 1) === 1
        ? convolutionPart(layer, portion)
        : groupedPart(layer, portion);
    case "MatMul":
    case "Gemm":
      return matrixPart(layer, weight.index, portion);
    case "Gather":
      return embeddingPart(layer, portion);
    default:
      return null;
  }
}

/** Weight [out, in, …], transposed [in, out, …]. */
function convolutionPart({ node, dimsOf }: LayerNode, portion: Portion): Part {
  const [x = "", w = "", b = ""] = node.inputs;
  const dims = dimsOf(w) as readonly number[];
  const [outAxis, inAxis] = node.opType === "ConvTranspose" ? [1, 0] : [0, 1];
  const input = unitsOf(portion.input, dims[inAxis] ?? 0);
  const output = unitsOf(portion.output, dims[outAxis] ?? 0);
  const weight = wholeBox(dims).map((own, axis) =>
    axis === inAxis ? input : axis === outAxis ? output : own,
  );
  const reads: Read[] = [
    { name: x, slot: 0, box: along(dimsOf(x) as readonly number[], 1, input) },
    { name: w, slot: 1, box: weight },
  ];
  if (b !== "") reads.push({ name: b, slot: 2, box: [output], ...zeroedAfter(input) });
  return slicedPart(node, reads, outputBox(node, dimsOf, 1, output), lengthOf(input) < (dims[inAxis] ?? 0));
}

/** Whole groups; a group has its own channels at both ends. */
function groupedPart({ node, dimsOf }: LayerNode, portion: Portion): Part {
  const [x = "", w = "", b = ""] = node.inputs;
  const count = intAttribute(node, "group", 1);
  const groups = unitsOf(portion.output, count);
  const channels = (name: string, axis: number): Range => {
    const each = ((dimsOf(name) as readonly number[])[axis] ?? 0) / count;
    return { from: groups.from * each, to: groups.to * each };
  };
  const output = channels(node.outputs[0] ?? "", 1);
  const reads: Read[] = [
    { name: x, slot: 0, box: along(dimsOf(x) as readonly number[], 1, channels(x, 1)) },
    { name: w, slot: 1, box: along(dimsOf(w) as readonly number[], 0, channels(w, 0)) },
  ];
  if (b !== "") reads.push({ name: b, slot: 2, box: [output] });
  const fewer = withAttributes(node, { group: { type: "int", value: Math.max(1, lengthOf(groups)) } });
  return slicedPart(fewer, reads, outputBox(node, dimsOf, 1, output));
}

/** A product with a constant side. */
function matrixPart({ node, dimsOf, isConstant }: LayerNode, slot: number, portion: Portion): Part | null {
  const left = slot === 0;
  const w = node.inputs[slot] ?? "";
  const x = node.inputs[1 - slot] ?? "";
  const [weight, data] = [dimsOf(w) as readonly number[], dimsOf(x) as readonly number[]];
  const made = dimsOf(node.outputs[0] ?? "") as readonly number[];
  if (weight.length < 2 || data.length < (left ? 2 : 1)) return null;
  const flipped = (name: string) => intAttribute(node, name, 0) !== 0;
  const weightFlipped = flipped(left ? "transA" : "transB");
  const dataFlipped = flipped(left ? "transB" : "transA");
  const inAxis = weight.length - (left === weightFlipped ? 2 : 1);
  const outAxis = weight.length - (left === weightFlipped ? 1 : 2);
  const dataAxis = left === dataFlipped ? data.length - 1 : Math.max(0, data.length - 2);
  const madeAxis = made.length - (left ? 2 : 1);
  const input = unitsOf(portion.input, weight[inAxis] ?? 0);
  const output = unitsOf(portion.output, weight[outAxis] ?? 0);
  const reads: Read[] = [
    { name: x, slot: 1 - slot, box: along(data, dataAxis, input) },
    {
      name: w,
      slot,
      box: wholeBox(weight).map((own, axis) => (axis === inAxis ? input : axis === outAxis ? output : own)),
    },
  ];
  const partial = lengthOf(input) < (weight[inAxis] ?? 0);
  const c = node.inputs[2] ?? "";
  if (c !== "") {
    if (partial && !isConstant(c)) return null;
    const dims = dimsOf(c) as readonly number[];
    const own = madeAxis - (made.length - dims.length);
    const box = own < 0 || dims[own] === 1 ? wholeBox(dims) : along(dims, own, output);
    reads.push({ name: c, slot: 2, box, ...zeroedAfter(input) });
  }
  return slicedPart(node, reads, outputBox(node, dimsOf, madeAxis, output), partial);
}

/** What is added once is added by whoever has the first input channel. */
function zeroedAfter(input: Range): { zeroed?: true } {
  return input.from > 0 ? { zeroed: true } : {};
}

function outputBox(node: Node, dimsOf: LayerNode["dimsOf"], axis: number, range: Range): Box {
  return along(dimsOf(node.outputs[0] ?? "") as readonly number[], axis, range);
}
