import { floatAttribute, nodeOf, withAttributes } from "../../onnx/edit.ts";
import type { LayerUse } from "../../onnx/layers.ts";
import type { Node } from "../../onnx/model.ts";
import { storedAs, weightOf } from "../weight.ts";
import type { Draft } from "./draft.ts";
import { firstOutput } from "./labels.ts";

/** Adds a vector to the output of a layer's matrices, an entry a row, in the order of the matrices. */
export type AddShift = (shift: Float64Array) => Promise<void>;

interface Place {
  readonly draft: Draft;
  readonly use: LayerUse;
  readonly node: Node;
  /** Type of the weight. */
  readonly dataType: number;
  /** Says that the tensor's axis loses what the weight's rows lose. */
  readonly follow: (tensor: string, axis: number) => void;
}

/**
 * How a constant gets into what this use of a weight computes; null where there is no exact way: transposed
 * convolutions of more than one phase, products with batches of matrices, biases that are computed. Where an axis is
 * padded with zeros, the constant is what the removed channels give on average, borders included.
 *
 * @param follow told of new tensors, which have as many entries as the layer has rows before removal
 */
export function shiftPlace(
  draft: Draft,
  use: LayerUse,
  dataType: number,
  follow: (tensor: string, axis: number) => void,
): AddShift | null {
  const node = draft.nodes[draft.indexOf(firstOutput(use.node))]!;
  const place: Place = { draft, use, node, dataType, follow };
  switch (node.opType) {
    case "Conv":
      return vectorInput(place, 2, 1);
    case "ConvTranspose":
      return transposedConvolution(place);
    case "Gemm":
      return gemm(place);
    case "MatMul":
      return matmul(place);
    case "LSTM":
    case "GRU":
    case "RNN":
      return recurrent(place);
    default:
      return null;
  }
}

/** A bias vector as an input, stored or left out. */
function vectorInput(place: Place, input: number, factor: number): AddShift | null {
  const { draft, node } = place;
  const name = node.inputs[input] ?? "";
  if (name === "") {
    return async (shift) => {
      const added = draft.add(
        `${firstOutput(node)}_bias`,
        vectorOf(place.dataType, [shift.length], shift, factor),
      );
      place.follow(added, 0);
      setInput(place, input, added);
    };
  }
  if (!draft.isStored(name)) return null;
  return (shift) => addTo(place, name, shift, factor, (own) => setInput(place, input, own));
}

/** Every output element sums each tap once only where all strides are 1. */
function transposedConvolution(place: Place): AddShift | null {
  const { geometry } = place.use;
  if (geometry.kind !== "convolution" || geometry.window.strides.some((stride) => stride !== 1)) return null;
  const add = vectorInput(place, 2, 1);
  return (
    add &&
    ((shift) => {
      const taps = shift.length / geometry.outputChannels;
      const sums = new Float64Array(geometry.outputChannels);
      shift.forEach((one, i) => {
        sums[Math.floor(i / taps)]! += one;
      });
      return add(sums);
    })
  );
}

function gemm(place: Place): AddShift | null {
  const { draft, node, use } = place;
  const alpha = floatAttribute(node, "alpha", 1);
  const beta = floatAttribute(node, "beta", 1);
  const left = use.geometry.kind === "matrix" && use.geometry.left;
  const name = node.inputs[2] ?? "";
  if (name === "") {
    return async (shift) => {
      const dims = left ? [shift.length, 1] : [shift.length];
      const added = draft.add(`${firstOutput(node)}_bias`, vectorOf(place.dataType, dims, shift, alpha));
      place.follow(added, 0);
      setInput(place, 2, added);
      draft.edit(firstOutput(node), (one) => withAttributes(one, { beta: undefined }));
    };
  }
  const dims = draft.about(name)?.dims;
  const vector = dims && (dims.length === 1 || (dims.length === 2 && dims[0] === 1));
  if (left || !vector || beta === 0) return null;
  return (shift) => addTo(place, name, shift, alpha / beta, (own) => setInput(place, 2, own));
}

/** Into the Add that follows, or a new one. */
function matmul(place: Place): AddShift | null {
  const { draft, node, use } = place;
  const { geometry } = use;
  const dims = draft.about(node.inputs[use.input] ?? "")?.dims;
  if (geometry.kind !== "matrix" || !dims || dims.slice(0, -2).some((dim) => dim !== 1)) return null;
  const output = firstOutput(node);
  const follower = draft.nodes.find((one) => one.opType === "Add" && one.inputs.includes(output));
  const input = follower ? 1 - follower.inputs.indexOf(output) : 0;
  const bias = follower?.inputs[input] ?? "";
  const shape = draft.about(bias)?.dims;
  if (
    follower &&
    shape &&
    !geometry.left &&
    draft.references(output) === 1 &&
    shape.at(-1) === geometry.outputFeatures &&
    shape.slice(0, -1).every((dim) => dim === 1)
  ) {
    return (shift) =>
      addTo(place, bias, shift, 1, (own) =>
        draft.edit(firstOutput(follower), (one) => ({ ...one, inputs: one.inputs.with(input, own) })),
      );
  }
  return async (shift) => {
    const size = geometry.left ? [shift.length, 1] : [shift.length];
    const added = draft.add(`${output}_bias`, vectorOf(place.dataType, size, shift, 1));
    place.follow(added, 0);
    const product = draft.fresh(`${output}_product`);
    const at = draft.indexOf(output);
    const sum = {
      ...nodeOf("Add", [product, added], [output]),
      name: draft.fresh(`${node.name || output}_bias`),
    };
    draft.nodes.splice(at, 1, { ...draft.nodes[at]!, outputs: [product] }, sum);
  };
}

/** B holds the biases of W and then those of R. */
function recurrent(place: Place): AddShift | null {
  const { draft, node, use } = place;
  const { geometry } = use;
  if (geometry.kind !== "recurrent") return null;
  const { directions, gates, hidden, part } = geometry;
  const rows = gates * hidden;
  const placed = (shift: Float64Array) => {
    const all = new Float64Array(directions * 2 * rows);
    shift.forEach((one, i) => {
      const direction = Math.floor(i / rows);
      all[(2 * direction + (part === "R" ? 1 : 0)) * rows + (i % rows)] = one;
    });
    return all;
  };
  const name = node.inputs[3] ?? "";
  if (name === "") {
    return async (shift) => {
      const value = vectorOf(place.dataType, [directions, 2 * rows], placed(shift), 1);
      const added = draft.add(`${firstOutput(node)}_bias`, value);
      place.follow(added, 1);
      setInput(place, 3, added);
    };
  }
  if (!draft.isStored(name)) return null;
  return (shift) => addTo(place, name, placed(shift), 1, (own) => setInput(place, 3, own));
}

function vectorOf(dataType: number, dims: readonly number[], shift: Float64Array, factor: number) {
  return {
    dataType,
    dims,
    data: storedAs(
      dataType,
      shift.map((one) => one * factor),
    ),
  };
}

/** Adds to a stored tensor of as many elements, or of one; to a copy of it where other nodes read it, too. */
async function addTo(
  { draft, follow }: Place,
  name: string,
  shift: Float64Array,
  factor: number,
  rename: (own: string) => void,
): Promise<void> {
  const value = weightOf(await draft.read(name));
  if (!value) return;
  const single = value.values.length === 1 && shift.length > 1;
  const sum = shift.map((one, i) => value.values[single ? 0 : i]! + one * factor);
  const dims = single ? [shift.length] : value.dims;
  const stored = { dataType: value.dataType, dims, data: storedAs(value.dataType, sum) };
  if (!single && draft.references(name) === 1) {
    draft.write(name, stored);
    return;
  }
  const own = draft.add(name, stored);
  follow(own, dims.length - 1);
  rename(own);
}

function setInput({ draft, node }: Place, input: number, name: string): void {
  draft.edit(firstOutput(node), (one) => {
    const inputs = [...one.inputs];
    while (inputs.length <= input) inputs.push("");
    inputs[input] = name;
    return { ...one, inputs };
  });
}
