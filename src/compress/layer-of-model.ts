import { walkGraphs } from "../onnx/edit.ts";
import type { ConvolutionGeometry, LayerGeometry } from "../onnx/layer-geometry.ts";
import type { Layer } from "../onnx/layers.ts";
import type { Graph } from "../onnx/model.ts";
import { readSparseTensor } from "../onnx/sparse.ts";
import { readTensor } from "../onnx/tensor.ts";
import type { LayerSite } from "./assemble.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { type LayerWeight, weightOf } from "./weight.ts";

/** Output positions assumed where shapes are unknown: only the ratio of predicted times matters then. */
const NOMINAL_POSITIONS = 28 * 28;

/** What the methods need to know of a layer of the model. JSON. */
export function factsOf(layer: Layer): LayerFacts {
  return {
    name: layer.name,
    op: layer.op,
    dims: layer.dims,
    dataType: layer.dataType,
    bytes: layer.bytes,
    macs: layer.macs,
    inputAxis: inputAxisOf(layer.uses[0]!.geometry, layer.dims.length),
    fixed: layer.fixed,
    sharing: sharingOf(layer),
  };
}

/** Where the layer is, for assembling. JSON. */
export function siteOf(layer: Layer): LayerSite {
  const use = layer.uses[0]!;
  return {
    layer: layer.name,
    node: { graph: use.path, output: use.node.outputs[0] ?? "" },
    weight: { graph: layer.weight.path, name: layer.weight.name },
  };
}

/**
 * Reads the layer's weight, and nothing else of the model; undefined for a layer that is fixed or of a type that is
 * not compressed.
 */
export async function readWeight(layer: Layer): Promise<LayerWeight | undefined> {
  if (layer.fixed !== null) return undefined;
  const { tensor } = layer.weight.holder;
  return weightOf("values" in tensor ? await readSparseTensor(tensor) : await readTensor(tensor));
}

function inputAxisOf(geometry: LayerGeometry, rank: number): number {
  switch (geometry.kind) {
    case "convolution":
      return geometry.transposed ? 0 : 1;
    case "matrix":
      return geometry.inputAxis;
    case "recurrent":
    case "embedding":
      return rank - 1;
  }
}

function sharingOf(layer: Layer): LayerFacts["sharing"] {
  const [use, ...others] = layer.uses;
  const { geometry, node } = use!;
  if (geometry.kind !== "convolution" || node.opType !== "Conv") return { reason: "it is no convolution" };
  if (geometry.groups !== 1) return { reason: "it is a grouped convolution" };
  const kernel = layer.dims.slice(2).reduce((product, dim) => product * dim, 1);
  if (kernel <= 1) return { reason: "its kernel is 1×1" };
  if (others.length > 0 || references(layer.weight.graph, layer.weight.name) !== 1) {
    return { reason: "other nodes use its weight" };
  }
  if (node.inputs[1] !== layer.weight.name) return { reason: "its weight comes through other nodes" };
  const positions = positionsOf(geometry);
  return {
    reason: null,
    work: {
      inputs: geometry.inputChannels,
      outputs: geometry.outputChannels,
      groups: 1,
      kernel,
      positions: positions ?? NOMINAL_POSITIONS,
    },
    known: positions !== null,
    unitStrides: geometry.window.strides.every((stride) => stride === 1),
  };
}

function positionsOf({ batch, outputSize }: ConvolutionGeometry): number | null {
  const sizes = [batch, ...(outputSize ?? [null])];
  return sizes.reduce((product, size) => (product === null || size === null ? null : product * size), 1);
}

/** How often nodes of the graph and of its subgraphs name the value. */
function references(graph: Graph, name: string): number {
  let count = 0;
  for (const { graph: one } of walkGraphs(graph)) {
    for (const node of one.nodes) count += node.inputs.filter((input) => input === name).length;
    count += one.outputs.filter((output) => output.name === name).length;
  }
  return count;
}
