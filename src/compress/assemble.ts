import { freshNames, mapGraphs, nodeOf, withAttributes } from "../onnx/edit.ts";
import type { Graph, Model, Node, SparseTensor, Tensor } from "../onnx/model.ts";
import type { LayerResult, ResultTensor } from "./compress-layer.ts";
import { NODE_BYTES } from "./kernel-sharing/cost.ts";

/** Where a layer is in the model. Graphs are named by their path, as walkGraphs gives it. */
export interface LayerSite {
  readonly layer: string;
  /** The layer's node, by its first output. */
  readonly node: { readonly graph: readonly string[]; readonly output: string };
  /** The value that holds the weight: an initializer, a sparse initializer or a Constant node's output. */
  readonly weight: { readonly graph: readonly string[]; readonly name: string };
}

/** First IR version that has sparse initializers. */
const SPARSE_IR_VERSION = 6;
/** IR version from which an initializer need not be a graph input as well. */
export const FREE_INITIALIZERS_IR_VERSION = 4;

type Edit = (graph: Graph) => Graph;

/**
 * Puts the layers' results into the model: weights are replaced where they lie (subgraphs of If, Loop and Scan
 * included), a convolution of shared kernels becomes two. Nothing else is touched. A result that would make its
 * layer larger is left out.
 *
 * @param sites one a result, by the layer's name
 * @returns the edited model and the layers whose results were left out
 */
export function assemble(
  model: Model,
  sites: readonly LayerSite[],
  results: readonly LayerResult[],
): { model: Model; dropped: readonly string[] } {
  const byName = new Map(sites.map((site) => [site.layer, site]));
  const fresh = freshNames(model);
  const edits = new Map<string, Edit[]>();
  const add = (path: readonly string[], edit: Edit) => {
    const key = JSON.stringify(path);
    edits.set(key, [...(edits.get(key) ?? []), edit]);
  };
  const dropped: string[] = [];
  let version = model.irVersion;
  for (const result of results) {
    if (result.tensors.length === 0) continue;
    const site = byName.get(result.layer);
    if (!site) throw new RangeError(`no site for layer ${result.layer}`);
    const { bytes } = result.stats;
    const nodes = result.treatment.method === "kernel_sharing" ? NODE_BYTES : 0;
    if (bytes.compressed + nodes > bytes.original) {
      dropped.push(result.layer);
      continue;
    }
    if (result.tensors.some(({ tensor }) => "values" in tensor))
      version = Math.max(version, SPARSE_IR_VERSION);
    const weight = tensorOfRole(result, "weight");
    if (weight) {
      add(site.weight.graph, (graph) => withWeight(graph, site.weight.name, weight));
      continue;
    }
    version = Math.max(version, FREE_INITIALIZERS_IR_VERSION);
    add(site.node.graph, (graph) => withSharedKernels(graph, site.node.output, result, fresh));
    add(site.weight.graph, (graph) => withoutValue(graph, site.weight.name));
  }
  if (edits.size === 0) return { model, dropped };
  const graph = mapGraphs(model.graph, (one, path) =>
    (edits.get(JSON.stringify(path)) ?? []).reduce((edited, edit) => edit(edited), one),
  );
  return { model: withVersion({ ...model, graph }, version), dropped };
}

function tensorOfRole(result: LayerResult, role: ResultTensor["role"]): Tensor | SparseTensor | undefined {
  return result.tensors.find((tensor) => tensor.role === role)?.tensor;
}

/** The graph with the value's tensor replaced; dense ones stay in their place, sparse ones go to the end. */
function withWeight(graph: Graph, name: string, tensor: Tensor | SparseTensor): Graph {
  if ("values" in tensor) {
    const rest = withoutValue(graph, name);
    return { ...rest, sparseInitializers: [...rest.sparseInitializers, sparseNamed(tensor, name)] };
  }
  if (graph.initializers.some((one) => one.name === name)) {
    const initializers = graph.initializers.map((one) => (one.name === name ? { ...tensor, name } : one));
    return { ...graph, initializers };
  }
  if (graph.sparseInitializers.some((one) => one.values.name === name)) {
    const rest = withoutValue(graph, name);
    return { ...rest, initializers: [...rest.initializers, { ...tensor, name }] };
  }
  const nodes = graph.nodes.map((node) =>
    isConstant(node, name)
      ? withAttributes(node, {
          sparse_value: undefined,
          value: { type: "tensor", value: { ...tensor, name } },
        })
      : node,
  );
  return { ...graph, nodes };
}

/** The graph without the initializer (and its input, before IR 4), sparse initializer or Constant node of that name. */
export function withoutValue(graph: Graph, name: string): Graph {
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => !isConstant(node, name)),
    inputs: graph.inputs.filter((input) => input.name !== name),
    initializers: graph.initializers.filter((one) => one.name !== name),
    sparseInitializers: graph.sparseInitializers.filter((one) => one.values.name !== name),
  };
}

function isConstant(node: Node, output: string): boolean {
  return node.opType === "Constant" && node.outputs[0] === output;
}

function sparseNamed(tensor: SparseTensor, name: string): SparseTensor {
  return { ...tensor, values: { ...tensor.values, name } };
}

/**
 * The convolution as two (ALGORITHMS §3): the grouped one with the basis keeps strides, pads, dilations and
 * auto_pad; the 1×1 one has the coefficients. The bias sits on the last.
 */
function withSharedKernels(
  graph: Graph,
  output: string,
  result: LayerResult,
  fresh: (stem: string) => string,
): Graph {
  const { treatment } = result;
  const basis = tensorOfRole(result, "basis");
  const coefficients = tensorOfRole(result, "coefficients");
  const at = graph.nodes.findIndex((node) => node.outputs[0] === output);
  const node = graph.nodes[at];
  if (!node || !basis || !coefficients || treatment.method !== "kernel_sharing") {
    throw new RangeError(`the result of layer ${result.layer} does not fit its node`);
  }
  const names = {
    basis: fresh(`${node.inputs[1]}_basis`),
    coefficients: fresh(`${node.inputs[1]}_coefficients`),
    maps: fresh(`${output}_maps`),
  };
  const [x = "", , bias = ""] = node.inputs;
  const [y = ""] = node.outputs;
  const basisFirst = treatment.form === "basis_first";
  const groups = basis.dims[0]! / (basisFirst ? treatment.bases : 1);
  const withBias = (inputs: string[], last: boolean) => (last && bias !== "" ? [...inputs, bias] : inputs);
  const grouped: Node = {
    ...withAttributes(node, { group: { type: "int", value: groups } }),
    name: basisFirst ? fresh(`${node.name || output}_basis`) : node.name,
    inputs: withBias([basisFirst ? x : names.maps, names.basis], !basisFirst),
    outputs: [basisFirst ? names.maps : y],
  };
  const kernel = basis.dims.slice(2);
  const pointwise: Node = {
    ...nodeOf(
      "Conv",
      withBias([basisFirst ? names.maps : x, names.coefficients], basisFirst),
      [basisFirst ? y : names.maps],
      { kernel_shape: { type: "ints", value: kernel.map(() => 1) } },
    ),
    name: basisFirst ? node.name : fresh(`${node.name || output}_coefficients`),
  };
  const pair = basisFirst ? [grouped, pointwise] : [pointwise, grouped];
  const dense: Tensor[] = [];
  const sparse: SparseTensor[] = [];
  for (const [name, tensor] of [
    [names.basis, basis],
    [names.coefficients, coefficients],
  ] as const) {
    if ("values" in tensor) sparse.push(sparseNamed(tensor, name));
    else dense.push({ ...tensor, name });
  }
  return {
    ...graph,
    nodes: [...graph.nodes.slice(0, at), ...pair, ...graph.nodes.slice(at + 1)],
    initializers: [...graph.initializers, ...dense],
    sparseInitializers: [...graph.sparseInitializers, ...sparse],
  };
}

/**
 * Raises the IR version where sparse initializers, or initializers that are no inputs, need it. Before IR 4 every
 * initializer is a graph input as well, one that runtimes do not ask for; from 4 on that would make it a default the
 * caller may override, and no longer a constant: such inputs go.
 */
export function withVersion(model: Model, irVersion: number): Model {
  if (model.irVersion >= irVersion) return model;
  if (model.irVersion >= FREE_INITIALIZERS_IR_VERSION) return { ...model, irVersion };
  const { graph } = model;
  const stored = new Set([
    ...graph.initializers.map((tensor) => tensor.name),
    ...graph.sparseInitializers.map((tensor) => tensor.values.name),
  ]);
  const inputs = graph.inputs.filter((input) => !stored.has(input.name));
  return { ...model, irVersion, graph: { ...graph, inputs } };
}
