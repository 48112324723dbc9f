import { freshNames, mapGraphs, nodeOf, withAttributes } from "../onnx/edit.ts";
import type { Graph, Model, Node, SparseTensor, Tensor } from "../onnx/model.ts";
import { withChain } from "./forms/with-chain.ts";
import type { LayerResult, ResultWeight } from "./layer-result.ts";
import { settled } from "./settle.ts";
import { decodeNodes } from "./storage/decode-nodes.ts";
import type { Decode } from "./storage/stored-weight.ts";

/** Where a layer is in the model. Graphs are named by their path, as walkGraphs gives it. */
export interface LayerSite {
  readonly layer: string;
  /** The layer's node, by its first output. */
  readonly node: { readonly graph: readonly string[]; readonly output: string };
  /** The value that holds the weight: an initializer, a sparse initializer or a Constant node's output. */
  readonly weight: { readonly graph: readonly string[]; readonly name: string };
  /** The initializer beside the node that holds its bias, where that may be corrected. */
  readonly bias: string | null;
}

/** First IR version that has sparse initializers. */
const SPARSE_IR_VERSION = 6;
/** IR version from which an initializer need not be a graph input as well. */
export const FREE_INITIALIZERS_IR_VERSION = 4;

type Edit = (graph: Graph) => Graph;

/**
 * Puts the layers' results into the model: weights are replaced where they lie (subgraphs of If, Loop and Scan
 * included), nodes that rebuild a weight from what is stored come first in its graph, a chain takes the place of a node.
 * Nothing else is touched. A weight that layers share is stored once in their graph. A result that would make its layer
 * larger is left out.
 *
 * @param sites one a result, by the layer's name
 * @param opset of the standard domain
 * @returns the edited model and the layers whose results were left out
 */
export function assemble(
  model: Model,
  sites: readonly LayerSite[],
  results: readonly LayerResult[],
  opset: number,
): { model: Model; dropped: readonly string[] } {
  const byName = new Map(sites.map((site) => [site.layer, site]));
  const fresh = freshNames(model);
  const edits = new Map<string, Edit[]>();
  const add = (path: readonly string[], edit: Edit) => {
    const key = JSON.stringify(path);
    edits.set(key, [...(edits.get(key) ?? []), edit]);
  };
  const { dropped } = settled(results);
  const shared = new Map<string, string>();
  let version = model.irVersion;
  for (const result of results) {
    if (result.weights.length === 0) continue;
    const site = byName.get(result.layer);
    if (!site) throw new RangeError(`no site for layer ${result.layer}`);
    if (dropped.includes(result.layer)) continue;
    version = Math.max(
      version,
      ...result.weights.map((weight) =>
        irVersionOf(weight, result.chain !== null || result.joinAxis !== undefined),
      ),
    );
    const bias = result.weights.find(({ role }) => role === "bias");
    if (bias) add(site.node.graph, (graph) => withWeight(graph, site.bias ?? "", plainOf(bias)!));
    if (result.chain === null) {
      const weights = result.weights.filter(({ role }) => role === "weight");
      const { name } = site.weight;
      if (weights.length > 1) {
        add(site.weight.graph, (graph) =>
          withJoined(graph, name, weights, result.joinAxis ?? 0, opset, fresh),
        );
      } else if (weights[0]) {
        const [weight] = weights as [ResultWeight];
        add(site.weight.graph, (graph) => withStored(graph, name, weight, opset, fresh));
      }
      continue;
    }
    const { chain } = result;
    add(site.weight.graph, (graph) => withoutValue(graph, site.weight.name));
    add(site.node.graph, (graph) => {
      const names: Record<string, string> = {};
      let edited = graph;
      for (const weight of result.weights) {
        if (weight.role === "bias") continue;
        const key = weight.shared && JSON.stringify([site.node.graph, weight.shared.key]);
        const known = key && shared.get(key);
        const name = known || fresh(`${site.weight.name}_${weight.role}`);
        names[weight.role] = name;
        if (known) continue;
        if (key) shared.set(key, name);
        edited = withStored(edited, name, weight, opset, fresh);
      }
      return withChain(edited, site.node.output, chain, names, fresh);
    });
  }
  if (edits.size === 0) return { model, dropped };
  const graph = mapGraphs(model.graph, (one, path) =>
    (edits.get(JSON.stringify(path)) ?? []).reduce((edited, edit) => edit(edited), one),
  );
  return { model: withVersion({ ...model, graph }, version), dropped };
}

function irVersionOf(weight: ResultWeight, inChain: boolean): number {
  const { stored } = weight;
  const sparse = stored.parts.some(({ tensor }) => "values" in tensor);
  const added = inChain || plainOf(weight) === null;
  return Math.max(
    stored.minIrVersion,
    sparse ? SPARSE_IR_VERSION : 0,
    added ? FREE_INITIALIZERS_IR_VERSION : 0,
  );
}

/** Whether the only part is the weight itself. */
function isPlain({ elements, dataType, placement, factors }: Decode): boolean {
  const asItIs = elements.kind === "numbers" && elements.dataType === dataType && factors.length === 0;
  return asItIs && (placement.kind === "dense" || placement.kind === "sparse");
}

/** The one tensor that is the weight, where no node has to rebuild it. */
function plainOf({ stored }: ResultWeight): Tensor | SparseTensor | null {
  return stored.parts.length === 1 && isPlain(stored.decode) ? stored.parts[0]!.tensor : null;
}

/** The graph in which `name` holds the stored weight: an initializer in its place, or nodes that come first. */
function withStored(
  graph: Graph,
  name: string,
  weight: ResultWeight,
  opset: number,
  fresh: (stem: string) => string,
): Graph {
  const plain = plainOf(weight);
  if (plain) return withWeight(graph, name, plain);
  const rest = withoutValue(graph, name);
  const { stored } = weight;
  const partNames = stored.parts.map(({ role }) => fresh(`${name}_${role}`));
  const { nodes, initializers, sparseInitializers } = decodeNodes(stored, name, partNames, fresh, opset);
  return {
    ...rest,
    nodes: [...nodes, ...rest.nodes],
    initializers: [...rest.initializers, ...initializers],
    sparseInitializers: [...rest.sparseInitializers, ...sparseInitializers],
  };
}

/** The graph in which `name` holds the weights one after the other: each stored by itself, and a Concat that is folded with them. */
function withJoined(
  graph: Graph,
  name: string,
  weights: readonly ResultWeight[],
  axis: number,
  opset: number,
  fresh: (stem: string) => string,
): Graph {
  const rest = withoutValue(graph, name);
  const names = weights.map(() => fresh(`${name}_rows`));
  const join = nodeOf("Concat", names, [name], { axis: { type: "int", value: axis } });
  return weights.reduceRight<Graph>(
    (edited, weight, i) => withStored(edited, names[i]!, weight, opset, fresh),
    { ...rest, nodes: [join, ...rest.nodes] },
  );
}

/** The graph with the value's tensor replaced, or added; dense ones stay in their place, others go to the end. */
function withWeight(graph: Graph, name: string, tensor: Tensor | SparseTensor): Graph {
  if ("values" in tensor) {
    const rest = withoutValue(graph, name);
    return { ...rest, sparseInitializers: [...rest.sparseInitializers, sparseNamed(tensor, name)] };
  }
  if (graph.initializers.some((one) => one.name === name)) {
    const initializers = graph.initializers.map((one) => (one.name === name ? { ...tensor, name } : one));
    return { ...graph, initializers };
  }
  if (!graph.nodes.some((node) => isConstant(node, name))) {
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
