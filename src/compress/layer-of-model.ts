import { DataType } from "../onnx/data-type.ts";
import { floatAttribute, walkGraphs } from "../onnx/edit.ts";
import type { Layer } from "../onnx/layers.ts";
import type { Graph } from "../onnx/model.ts";
import { readSparseTensor } from "../onnx/sparse.ts";
import { readTensor } from "../onnx/tensor.ts";
import { ranged, readRange } from "../onnx/tensor-range.ts";
import type { LayerSite } from "./assemble.ts";
import { targetOf } from "./forms/form.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { layoutOf } from "./layer-matrix.ts";
import { type LayerWeight, weightOf } from "./weight.ts";

/** What the methods need to know of a layer of the model. JSON. */
export function factsOf(layer: Layer): LayerFacts {
  const { geometry, node } = layer.uses[0]!;
  return {
    name: layer.name,
    op: layer.op,
    dims: layer.dims,
    dataType: layer.dataType,
    bytes: layer.bytes,
    macs: layer.macs,
    target: targetOf(node, geometry, layer.dims),
    layout: layoutOf(geometry, layer.dims),
    fixed: layer.fixed,
    rigid: rigidity(layer),
    bias: biasOf(layer)?.count ?? null,
  };
}

/** Where the layer is, for assembling. JSON. */
export function siteOf(layer: Layer): LayerSite {
  const use = layer.uses[0]!;
  return {
    layer: layer.name,
    node: { graph: use.path, output: use.node.outputs[0] ?? "" },
    weight: { graph: layer.weight.path, name: layer.weight.name },
    bias: biasOf(layer)?.name ?? null,
  };
}

/**
 * Reads the layer's weight, and nothing else of the model, into arrays that nobody else has; undefined for a layer that is fixed or of
 * a type that is not compressed.
 */
export async function readWeight(layer: Layer): Promise<LayerWeight | undefined> {
  if (layer.fixed !== null) return undefined;
  const { tensor } = layer.weight.holder;
  if ("values" in tensor) return weightOf(await readSparseTensor(tensor));
  const of = ranged(tensor);
  return weightOf(of ? await readRange(of, 0, tensor.dims) : await readTensor(tensor));
}

/** Why no other nodes may take the place of the layer's node; null where they may. */
function rigidity(layer: Layer): string | null {
  const [use, ...others] = layer.uses;
  if (others.length > 0 || references(layer.weight.graph, layer.weight.name) !== 1) {
    return "other nodes use its weight";
  }
  if (use!.node.inputs[use!.input] !== layer.weight.name) return "its weight comes through other nodes";
  return null;
}

/** The bias of a Conv, ConvTranspose or Gemm: a vector of floats in its graph's initializers that no other node uses. */
function biasOf(layer: Layer): { name: string; count: number } | null {
  const [use, ...others] = layer.uses;
  const { node, graph } = use!;
  if (others.length > 0 || !["Conv", "ConvTranspose", "Gemm"].includes(node.opType)) return null;
  if (node.opType === "Gemm" && floatAttribute(node, "beta", 1) !== 1) return null;
  const name = node.inputs[2];
  const tensor = graph.initializers.find((one) => one.name === name);
  if (!name || tensor?.dataType !== DataType.FLOAT || tensor.dims.length !== 1) return null;
  if (graph.inputs.some((input) => input.name === name) || references(graph, name) !== 1) return null;
  return { name, count: tensor.dims[0]! };
}

/** The numbers of the layer's own bias; null where it has none that may be corrected. */
export async function readBias(layer: Layer): Promise<Float32Array | null> {
  const name = biasOf(layer)?.name;
  const tensor = layer.uses[0]!.graph.initializers.find((one) => one.name === name);
  return tensor ? ((await readTensor(tensor)).data as Float32Array) : null;
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
