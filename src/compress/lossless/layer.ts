import { DataType } from "../../onnx/data-type.ts";
import { floatAttribute, intAttribute, withAttributes } from "../../onnx/edit.ts";
import type { Node, Tensor } from "../../onnx/model.ts";
import { compactTensor, floatSpan, scaledTensor } from "./derived.ts";
import { isStandard, type Rewriting } from "./pass.ts";
import type { Scope } from "./scope.ts";
import { initializerBytes } from "./size.ts";

/** y ↦ y · scale + shift for each output channel. */
export interface Affine {
  /** [C]; absent: 1. */
  readonly scale?: Float64Array;
  /** [C]; absent: 0. */
  readonly shift?: Float64Array;
}

/** A linear layer with a constant float32 weight, into which an affine map after it can be folded. */
export interface LinearLayer {
  readonly index: number;
  readonly node: Node;
  readonly weight: Tensor;
  /** Number of output channels, C. */
  readonly channels: number;
  /** Axis of the channels in the output, from the front (1) or the back (−1). */
  readonly axis: 1 | -1;
  /** Rank of the output; null when not known. */
  readonly rank: number | null;
  /** Whether the layer has a place for a bias. */
  readonly takesBias: boolean;
  /** Output channel of the weight's entry. */
  readonly channelOf: (entry: number) => number;
}

/** The layer at a node, or null when it is none or its weight is not a float32 constant of this graph. */
export function linearLayer(scope: Scope, rewriting: Rewriting, index: number): LinearLayer | null {
  const node = scope.node(index);
  if (!node || !isStandard(node, "Conv", "ConvTranspose", "Gemm", "MatMul")) return null;
  const weight = scope.constant(node.inputs[1] ?? "");
  if (!weight || weight.dataType !== DataType.FLOAT || !floatSpan(weight)) return null;
  const { dims } = weight;
  const base = { index, node, weight };
  if (node.opType === "Conv" && dims.length >= 3) {
    const inner = dims.slice(1).reduce((a, b) => a * b, 1);
    const channelOf = (entry: number) => Math.floor(entry / inner);
    return { ...base, channels: dims[0]!, axis: 1, rank: dims.length, takesBias: true, channelOf };
  }
  if (node.opType === "ConvTranspose" && dims.length >= 3) {
    const group = intAttribute(node, "group", 1);
    const [inputs, perGroup] = dims as [number, number];
    const kernel = dims.slice(2).reduce((a, b) => a * b, 1);
    const channelOf = (entry: number) => {
      const input = Math.floor(entry / (kernel * perGroup));
      return Math.floor((input * group) / inputs) * perGroup + (Math.floor(entry / kernel) % perGroup);
    };
    return { ...base, channels: perGroup * group, axis: 1, rank: dims.length, takesBias: true, channelOf };
  }
  if (dims.length !== 2) return null;
  const [rows, columns] = dims as [number, number];
  if (node.opType === "Gemm" && intAttribute(node, "transB", 0)) {
    const channelOf = (entry: number) => Math.floor(entry / columns);
    return { ...base, channels: rows, axis: 1, rank: 2, takesBias: true, channelOf };
  }
  const channelOf = (entry: number) => entry % columns;
  if (node.opType === "Gemm")
    return { ...base, channels: columns, axis: 1, rank: 2, takesBias: true, channelOf };
  const rank = rewriting.fact(scope, node.inputs[0]!)?.dims?.length ?? null;
  return { ...base, channels: columns, axis: -1, rank, takesBias: false, channelOf };
}

/**
 * The layer with the affine map folded into weight and bias, as a node that makes `output`; null when the layer has
 * no place for it, a number does not come out finite, or the file would grow by more than `savedBytes`.
 * All arithmetic is in double; the results are rounded to float32 once.
 */
export async function foldAffine(
  scope: Scope,
  rewriting: Rewriting,
  layer: LinearLayer,
  { scale, shift }: Affine,
  output: string,
  savedBytes: number,
): Promise<Node | null> {
  const { node, weight, channels } = layer;
  if (shift && !layer.takesBias) return null;
  if (![...(scale ?? []), ...(shift ?? [])].every(isFiniteFloat)) return null;
  const added: Tensor[] = [];
  let grown = 0;
  const inputs = [...node.inputs];
  if (scale) {
    const alone = replaceable(scope, layer, 1);
    const name = alone ? weight.name : rewriting.fresh(weight.name);
    const scaled = scaledTensor(weight, name, (i) => scale[layer.channelOf(i)]!);
    if (!scaled) return null;
    if (!alone) grown += initializerBytes(scaled);
    added.push(scaled);
    inputs[1] = name;
  }
  const bias = await biasOf(scope, rewriting, layer);
  if (bias === null) return null;
  let folded = node;
  if (bias || shift) {
    const values = new Float32Array(channels);
    for (let c = 0; c < channels; c++) {
      values[c] = (bias?.[c] ?? 0) * (scale?.[c] ?? 1) + (shift?.[c] ?? 0);
    }
    if (!values.every(Number.isFinite)) return null;
    const alone = replaceable(scope, layer, 2);
    const name = alone ? node.inputs[2]! : rewriting.fresh(node.inputs[2] || `${output}_bias`);
    const tensor = compactTensor(name, { dataType: DataType.FLOAT, dims: [channels], data: values });
    if (!alone) grown += initializerBytes(tensor);
    added.push(tensor);
    inputs[2] = tensor.name;
    folded = withAttributes(folded, { beta: undefined });
  }
  if (grown > savedBytes) return null;
  for (const tensor of added) scope.addInitializer(tensor);
  return { ...folded, inputs, outputs: [output] };
}

/** True when the layer alone uses the initializer, once, so that it can be written over. */
function replaceable(scope: Scope, { node, index }: LinearLayer, input: number): boolean {
  const name = node.inputs[input] ?? "";
  return scope.ownConstant(name) !== undefined && scope.feedsOnly(name, index);
}

function isFiniteFloat(value: number): boolean {
  return Number.isFinite(Math.fround(value));
}

/** The bias as it is added, [C]; undefined: the layer has none; null: it is not a constant of that form. */
async function biasOf(
  scope: Scope,
  rewriting: Rewriting,
  { node, channels }: LinearLayer,
): Promise<Float64Array | undefined | null> {
  const name = node.inputs[2];
  if (!name || node.opType === "MatMul") return undefined;
  const tensor = scope.constant(name);
  if (!tensor || tensor.dataType !== DataType.FLOAT) return null;
  const value = await rewriting.read(tensor);
  if (!value) return null;
  const data = value.data as Float32Array;
  const factor = node.opType === "Gemm" ? floatAttribute(node, "beta", 1) : 1;
  const flat = value.dims.length <= 1 || (value.dims.length === 2 && value.dims[0] === 1);
  if (!flat || (data.length !== channels && data.length !== 1)) return null;
  return Float64Array.from({ length: channels }, (_, c) => factor * data[data.length === 1 ? 0 : c]!);
}
