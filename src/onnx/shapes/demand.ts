import { evaluableOperators } from "../constant/evaluate.ts";
import type { FunctionDefinition, Graph, Model, Node, SparseTensor, Tensor } from "../model.ts";
import { elementCount } from "../tensor-value.ts";
import { MAX_ELEMENTS } from "./facts.ts";

/**
 * Which small tensors shape inference has to read: those whose contents decide a shape, directly (the second
 * input of a Reshape) or through nodes that compute it. Everything else stays unread, so that a model behind
 * ranged requests costs a handful of them.
 */

/** Inputs whose contents decide the shape of an output, by operator. */
const CONTENTS: Readonly<Record<string, readonly number[]>> = {
  AffineGrid: [1],
  BlackmanWindow: [0],
  CenterCropPad: [1],
  Col2Im: [1, 2],
  Compress: [1],
  ConstantOfShape: [0],
  DFT: [1, 2],
  Expand: [1],
  HammingWindow: [0],
  HannWindow: [0],
  If: [0],
  Loop: [0, 1],
  MaxUnpool: [2],
  MelWeightMatrix: [0, 1],
  NonZero: [0],
  OneHot: [1],
  Pad: [1, 3],
  Range: [0, 1, 2],
  Reshape: [1],
  Resize: [1, 2, 3],
  STFT: [1, 3],
  Slice: [1, 2, 3, 4],
  Split: [1],
  SplitToSequence: [1],
  Squeeze: [1],
  Tile: [1, 2],
  TopK: [1],
  Unique: [0],
  Unsqueeze: [1],
  Upsample: [1],
  ...Object.fromEntries(
    "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split(" ").map((name) => [`Reduce${name}`, [1]]),
  ),
};

interface Place {
  readonly outer: Place | null;
  readonly producers: Map<string, Node>;
  readonly tensors: Map<string, Tensor>;
  readonly sparse: Map<string, SparseTensor>;
  readonly seen: Set<string>;
  /** Places of a node's subgraphs. */
  readonly bodies: Map<Node, { place: Place; graph: Graph }[]>;
}

export interface Demand {
  readonly tensors: ReadonlySet<Tensor>;
  readonly sparse: ReadonlySet<SparseTensor>;
}

/** Tensors of at most {@link MAX_ELEMENTS} elements (initializers and attributes) whose contents matter. */
export function demandedTensors(model: Model): Demand {
  const tensors = new Set<Tensor>();
  const sparse = new Set<SparseTensor>();
  const evaluable = new Set(evaluableOperators());
  const calls = new Set(model.functions.map((definition) => definition.name));
  const open: { place: Place; name: string }[] = [];
  const want = (place: Place, name: string | undefined) => {
    if (name) open.push({ place, name });
  };

  const enter = (graph: Graph | FunctionDefinition, outer: Place | null): Place => {
    const place: Place = {
      outer,
      producers: new Map(),
      tensors: new Map(),
      sparse: new Map(),
      seen: new Set(),
      bodies: new Map(),
    };
    if ("initializers" in graph) {
      for (const tensor of graph.initializers) place.tensors.set(tensor.name, tensor);
      for (const tensor of graph.sparseInitializers) place.sparse.set(tensor.values.name, tensor);
    } else for (const output of graph.outputs) want(place, output);
    for (const node of graph.nodes) enterNode(node, place);
    return place;
  };

  const enterNode = (node: Node, place: Place) => {
    for (const output of node.outputs) if (output !== "") place.producers.set(output, node);
    const positions = calls.has(node.opType) ? node.inputs.keys() : (CONTENTS[node.opType] ?? []);
    for (const position of positions) want(place, node.inputs[position]);
    const bodies: { place: Place; graph: Graph }[] = [];
    for (const { value } of node.attributes) {
      const graphs = value.type === "graph" ? [value.value] : value.type === "graphs" ? value.value : [];
      for (const graph of graphs) bodies.push({ place: enter(graph, place), graph });
      // The value of a ConstantOfShape, of one element; a Constant's is read on demand.
      if (value.type === "tensor" && node.opType === "ConstantOfShape") take(value.value);
    }
    place.bodies.set(node, bodies);
    // Whether a Loop goes on is its body's first output.
    if (node.opType === "Loop") for (const body of bodies) want(body.place, body.graph.outputs[0]?.name);
  };

  const take = (tensor: Tensor) => {
    const there = tensor.data.kind !== "external" || tensor.data.span !== null;
    if (there && elementCount(tensor.dims) <= MAX_ELEMENTS) tensors.add(tensor);
  };

  const follow = (start: Place, name: string) => {
    for (let place: Place | null = start; place; place = place.outer) {
      const initializer = place.tensors.get(name);
      const sparseInitializer = place.sparse.get(name);
      const producer = place.producers.get(name);
      if (!initializer && !sparseInitializer && !producer) continue;
      if (place.seen.has(name)) return;
      place.seen.add(name);
      if (initializer) take(initializer);
      else if (sparseInitializer && elementCount(sparseInitializer.dims) <= MAX_ELEMENTS) {
        sparse.add(sparseInitializer);
      } else if (producer) followNode(place, producer, name);
      return;
    }
  };

  const followNode = (place: Place, node: Node, name: string) => {
    if (node.opType === "Constant") {
      for (const { value } of node.attributes) if (value.type === "tensor") take(value.value);
    } else if (node.opType === "If") {
      const position = node.outputs.indexOf(name);
      for (const body of place.bodies.get(node) ?? []) want(body.place, body.graph.outputs[position]?.name);
    } else if (node.opType !== "Shape" && node.opType !== "Size" && evaluable.has(node.opType)) {
      for (const input of node.inputs) want(place, input);
    }
  };

  enter(model.graph, null);
  for (const definition of model.functions) enter(definition, null);
  for (let next = open.pop(); next; next = open.pop()) follow(next.place, next.name);
  return { tensors, sparse };
}
