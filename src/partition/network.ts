import { intAttribute, subgraphsOf } from "../onnx/edit.ts";
import { type Layer, listLayers } from "../onnx/layers.ts";
import type { Graph, Model, Node } from "../onnx/model.ts";
import { vectorFlops } from "../onnx/operators/flops.ts";
import { nodeMacs } from "../onnx/operators/macs.ts";
import { inferShapes } from "../onnx/shapes/infer.ts";
import type { Shapes } from "../onnx/shapes/shapes.ts";
import type { Network, NetworkEdge, NetworkNode, PassFlops } from "./graph.ts";
import { DENSE_WAYS, EMBEDDING_WAYS, GROUPED_WAYS, JOIN_WAYS, RECURRENT_WAYS } from "./layout.ts";
import {
  arithmeticOf,
  channelsOf,
  elementBytesOf,
  inputShapesFor,
  isControl,
  type Sizes,
  sizesOf,
} from "./tensors.ts";
import { PACKED, WeightBytes } from "./weight-bytes.ts";

/**
 * The network of a model, its shapes inferred for the batch: free sizes of the inputs other than the batch get usual values,
 * which the notes say. Reads no weight.
 */
export async function networkForModel(model: Model, batch?: number): Promise<Network> {
  return (await tracedNetwork(model, batch)).network;
}

/** A network, and the node of the model that each of its nodes stands for. */
export interface TracedNetwork {
  readonly network: Network;
  /** As many as the network has nodes. */
  readonly origins: readonly Node[];
}

/** Ifs, and the attribute with the branch that inputs take, where that is known. */
export type TakenBranches = ReadonlyMap<Node, string>;

/** {@link networkForModel} with where its nodes come from. Of an If whose branch is known that one counts. */
export async function tracedNetwork(
  model: Model,
  batch?: number,
  taken: TakenBranches = new Map(),
): Promise<TracedNetwork> {
  const shapes = await inferShapes(model, { inputShapes: inputShapesFor(model, batch ?? 1) });
  const whole = traced(model, shapes, batch, taken);
  if (whole.network.notes.length === 0 || (batch ?? 1) === 1) return whole;
  // A reshape to a constant size breaks for other batches than its own: count one sample then, and multiply.
  const single = await inferShapes(model, { inputShapes: inputShapesFor(model, 1) });
  const multiplied = traced(model, single, batch, taken);
  return multiplied.network.notes.length < whole.network.notes.length ? multiplied : whole;
}

/**
 * The graph of weighted layers and of the operators where branches meet. Everything else follows its producer: a
 * layer's output counts after the activation and pooling behind it. Of an If the costlier branch counts, of Loop
 * and Scan one run of the body. Sizes that shape inference does not know count as one, and a note says so; it
 * never fails.
 *
 * @param batch samples a step; the batch of the shapes where nothing is said. Other batches than theirs are scaled.
 */
export function networkOf(model: Model, shapes: Shapes, batch?: number): Network {
  return traced(model, shapes, batch).network;
}

function traced(
  model: Model,
  shapes: Shapes,
  batch: number | undefined,
  taken: TakenBranches = new Map(),
): TracedNetwork {
  return new NetworkBuilder(model, shapes, sizesOf(model, shapes, batch), taken).build();
}

/** Where a value comes from: a node of the network, or nothing that counts (an input, a constant). */
type Source = number | null;

interface Draft extends Omit<NetworkNode, "output" | "passesError"> {
  /** Elements of the operator's own output, then of what follows it. */
  output: number;
}

class NetworkBuilder {
  readonly #model: Model;
  readonly #sizes: Sizes;
  readonly #taken: TakenBranches;
  readonly #layers = new Map<Node, Layer[]>();
  readonly #nodes: Draft[] = [];
  readonly #origins: Node[] = [];
  readonly #edges: NetworkEdge[] = [];
  readonly #names = new Set<string>();
  /** Values that do not depend on what the model is fed. */
  readonly #constants = new Set<string>();
  readonly #weightBytes: WeightBytes;
  readonly #seenWeights = new Set<object>();
  readonly #notes = new Set<string>();
  readonly #guessed = new Set<string>();

  constructor(model: Model, shapes: Shapes, sizes: Sizes, taken: TakenBranches) {
    this.#model = model;
    this.#taken = taken;
    this.#sizes = sizes;
    this.#weightBytes = new WeightBytes(model, shapes);
    for (const layer of listLayers(model, shapes)) {
      for (const { node } of layer.uses) this.#layers.set(node, [...(this.#layers.get(node) ?? []), layer]);
    }
  }

  build(): TracedNetwork {
    this.#graph(this.#model.graph, new Map());
    const consumed = new Map<number, number>();
    for (const { from, elements } of this.#edges) {
      consumed.set(from, Math.max(consumed.get(from) ?? 0, elements));
    }
    const fed = new Set(this.#edges.map(({ to }) => to));
    if (this.#guessed.size > 0) {
      const [first] = this.#guessed;
      this.#notes.add(
        `Sizes of ${this.#guessed.size} tensors are not known before the model runs and count as one (the first is at ${first}).`,
      );
    }
    if (this.#nodes.length === 0) this.#notes.add("The model has no layer that could be partitioned.");
    const network = {
      name: this.#model.graph.name,
      batch: this.#sizes.batch,
      nodes: this.#nodes.map((node, v) => ({
        ...node,
        output: consumed.get(v) ?? node.output,
        passesError: fed.has(v),
      })),
      edges: this.#edges,
      notes: [...this.#notes],
    };
    return { network, origins: this.#origins };
  }

  /** Adds a graph's nodes; answers where each of its values comes from. */
  #graph(graph: Graph, outer: ReadonlyMap<string, Source>): Map<string, Source> {
    const sources = new Map(outer);
    for (const { name } of [...graph.inputs, ...graph.initializers]) {
      if (!sources.has(name)) sources.set(name, null);
    }
    for (const { name } of graph.initializers) this.#constants.add(name);
    for (const { values } of graph.sparseInitializers) this.#constants.add(values.name);
    for (const [index, node] of graph.nodes.entries()) this.#node(graph, node, index, sources);
    return sources;
  }

  #node(graph: Graph, node: Node, index: number, sources: Map<string, Source>): void {
    if (this.#makesConstant(node)) return;
    const bodies = subgraphsOf(node);
    if (bodies.length > 0) {
      this.#control(graph, node, sources);
      return;
    }
    const feeding = this.#feeding(graph, node, sources);
    const distinct = new Set(feeding.map(({ from }) => from));
    const layers = this.#layers.get(node);
    const macs = nodeMacs(node, this.#sizes.nodeShapes(graph, node));
    const control = isControl(this.#sizes.dataType(graph, node.outputs[0] ?? ""));
    let source: Source = null;
    if (layers) source = this.#weighted(graph, node, index, layers, macs);
    else if (!control && (macs !== 0 || distinct.size > 1)) source = this.#join(graph, node, index, macs);
    if (source !== null) {
      for (const { from, elements } of feeding) this.#edges.push({ from, to: source, elements });
    } else if (!control) {
      source = feeding[0]?.from ?? null;
      const producer = source === null ? undefined : this.#nodes[source];
      if (producer) producer.output = this.#elements(graph, node.outputs[0] ?? "", node);
    }
    for (const name of node.outputs) {
      if (name === "") continue;
      const steers = !layers && isControl(this.#sizes.dataType(graph, name));
      sources.set(name, steers ? null : source);
    }
  }

  /** A node that computes a weight from constants runs once, when the model is loaded; bodies may read anything around them. */
  #makesConstant(node: Node): boolean {
    const { opType, inputs, outputs } = node;
    const fixed =
      opType === "Constant" ||
      (inputs.length > 0 &&
        inputs.every((name) => name === "" || this.#constants.has(name)) &&
        subgraphsOf(node).length === 0);
    // Branches side by side may use a name for different things.
    for (const name of outputs) {
      if (fixed) this.#constants.add(name);
      else this.#constants.delete(name);
    }
    return fixed;
  }

  /** The activations among a node's inputs that come from the network. */
  #feeding(
    graph: Graph,
    node: Node,
    sources: ReadonlyMap<string, Source>,
  ): { from: number; elements: number }[] {
    const found: { from: number; elements: number }[] = [];
    for (const name of new Set(node.inputs)) {
      const from = sources.get(name) ?? null;
      if (name === "" || from === null) continue;
      found.push({ from, elements: this.#elements(graph, name, node) });
    }
    return found;
  }

  /** If: the branch that is taken, else the one that computes more. Loop and Scan: the body, once. */
  #control(graph: Graph, node: Node, sources: Map<string, Source>): void {
    const bodies = subgraphsOf(node);
    const weight = (body: Graph): number =>
      body.nodes.reduce(
        (sum, inner) =>
          sum +
          1 +
          (nodeMacs(inner, this.#sizes.nodeShapes(body, inner)) ?? 0) +
          subgraphsOf(inner).reduce((inside, { graph: next }) => inside + weight(next), 0),
        0,
      );
    const known = bodies.find(({ attribute }) => attribute === this.#taken.get(node));
    const counted = (known ?? bodies.reduce((a, b) => (weight(b.graph) > weight(a.graph) ? b : a))).graph;
    if (node.opType !== "If") {
      this.#notes.add(`The body of ${node.opType} ${node.name} is counted for one iteration.`);
      // A body's inputs are, at least in part, what the node is given.
      const given = node.inputs.map((name) => sources.get(name) ?? null).find((source) => source !== null);
      for (const { name } of counted.inputs) sources.set(name, given ?? null);
    }
    const inner = this.#graph(counted, sources);
    for (const [i, name] of node.outputs.entries()) {
      const from = counted.outputs[i]?.name ?? counted.outputs.at(-1)?.name ?? "";
      const control = isControl(this.#sizes.dataType(graph, name));
      if (name !== "") sources.set(name, control ? null : (inner.get(from) ?? null));
    }
  }

  /** A layer with a weight. */
  #weighted(graph: Graph, node: Node, index: number, layers: readonly Layer[], macs: number | null): number {
    const [layer] = layers as [Layer];
    const geometry = layer.uses.find((use) => use.node === node)?.geometry;
    const fresh = layers.filter(({ weight }) => !this.#seenWeights.has(weight.holder.tensor));
    for (const { weight } of layers) this.#seenWeights.add(weight.holder.tensor);
    const packed = packedWeight(node);
    const weights = packed
      ? fresh.length * packed.inputs * packed.outputs
      : fresh.reduce((sum, { parameters }) => sum + parameters, 0);
    const parameters = layers.reduce((sum, own) => sum + own.parameters, 0);
    const activation = node.inputs.find((name, i) => name !== "" && i !== layer.uses[0]?.input) ?? "";
    const left = geometry?.kind === "matrix" && geometry.left;
    const data = left ? (node.inputs[1] ?? "") : activation;
    const embedding = geometry?.kind === "embedding";
    const input = this.#elements(graph, data, node);
    const output = this.#elements(graph, node.outputs[0] ?? "", node);
    const type = this.#sizes.dataType(graph, embedding ? (node.outputs[0] ?? "") : data);
    const flops = embedding
      ? { forward: output, backward: 0, gradient: output }
      : passFlops(this.#macs(macs, parameters, node), input, output, parameters);
    const grouped = geometry?.kind === "convolution" && geometry.groups > 1;
    let features: readonly [number, number] = [1, 1];
    if (packed) features = [packed.inputs, packed.outputs];
    else if (geometry?.kind === "convolution") {
      features = grouped
        ? [geometry.groups, geometry.groups]
        : [geometry.inputChannels, geometry.outputChannels];
    } else if (geometry?.kind === "matrix") features = [geometry.inputFeatures, geometry.outputFeatures];
    else if (geometry?.kind === "recurrent") features = [geometry.inputFeatures, geometry.hidden];
    else if (geometry?.kind === "embedding") features = [geometry.entries, geometry.width];
    const ways = {
      convolution: grouped ? GROUPED_WAYS : DENSE_WAYS,
      matrix: DENSE_WAYS,
      recurrent: RECURRENT_WAYS,
      embedding: EMBEDDING_WAYS,
    }[geometry?.kind ?? "matrix"];
    const name = geometry?.kind === "recurrent" ? layer.name.replace(/\.[WR]$/, "") : layer.name;
    return this.#add(node, {
      name: fresh.length > 0 ? name : `${name} (${node.name || `${node.opType}_${index}`})`,
      op: node.opType,
      kind: geometry?.kind === "convolution" ? "convolution" : "dense",
      ways,
      units: [this.#sizes.batch, Math.max(1, features[0]), Math.max(1, features[1])],
      input,
      output,
      weights,
      flops,
      elementBytes: elementBytesOf(type),
      weightBytes: fresh.reduce((sum, own) => sum + this.#weightBytes.of(own), 0),
      precision: arithmeticOf(node, type),
    });
  }

  /** An operator without a weight where branches meet, or that multiplies two activations. */
  #join(graph: Graph, node: Node, index: number, macs: number | null): number {
    const output = this.#elements(graph, node.outputs[0] ?? "", node);
    const input = node.inputs.reduce(
      (largest, name) => (name === "" ? largest : Math.max(largest, this.#known(graph, name))),
      0,
    );
    const type = this.#sizes.dataType(graph, node.outputs[0] ?? "");
    const shapes = this.#sizes.nodeShapes(graph, node);
    const flops =
      macs === 0
        ? {
            forward: (vectorFlops(node, shapes) ?? output) * this.#sizes.factor,
            backward: output,
            gradient: 0,
          }
        : { ...passFlops(this.#macs(macs, 0, node), input, output, 0), gradient: 0 };
    // Both operands of a product get an error: twice the work backwards.
    const backward = macs === 0 ? flops.backward : 2 * flops.backward;
    const channels = channelsOf(this.#sizes.dims(graph, node.outputs[0] ?? ""));
    return this.#add(node, {
      name: node.name || `${node.opType}_${index}`,
      op: node.opType,
      kind: "join",
      ways: JOIN_WAYS,
      units: [this.#sizes.batch, channels, channels],
      input,
      output,
      weights: 0,
      flops: { ...flops, backward },
      elementBytes: elementBytesOf(type),
      weightBytes: 0,
      precision: arithmeticOf(node, type),
    });
  }

  #add(origin: Node, draft: Draft): number {
    let name = draft.name;
    for (let i = 2; this.#names.has(name); i++) name = `${draft.name}#${i}`;
    this.#names.add(name);
    this.#nodes.push({ ...draft, name });
    this.#origins.push(origin);
    return this.#nodes.length - 1;
  }

  /** Multiply-accumulates for the whole batch; one use of every weight a sample where shapes do not say. */
  #macs(macs: number | null, parameters: number, node: Node): number {
    if (macs !== null) return macs * this.#sizes.factor;
    this.#guessed.add(node.name || node.opType);
    return parameters * this.#sizes.batch;
  }

  #elements(graph: Graph, name: string, node: Node): number {
    const { count, guessed } = this.#sizes.elements(graph, name);
    if (guessed) this.#guessed.add(node.name || node.opType);
    return count;
  }

  /** As `#elements`, for constants too, which do not grow with the batch. */
  #known(graph: Graph, name: string): number {
    return this.#sizes.elements(graph, name).count;
  }
}

/** Sizes of a weight whose numbers are packed in blocks, which its dims do not tell. */
function packedWeight(node: Node): { readonly inputs: number; readonly outputs: number } | null {
  if (!PACKED.has(node.opType)) return null;
  return { inputs: intAttribute(node, "K", 1), outputs: intAttribute(node, "N", 1) };
}

/** AccPar's counts: each output sums an inner dimension, one multiplication more than additions. */
function passFlops(macs: number, input: number, output: number, weights: number): PassFlops {
  return {
    forward: Math.max(0, 2 * macs - output),
    backward: Math.max(0, 2 * macs - input),
    gradient: Math.max(0, 2 * macs - weights),
  };
}
