import { DataType } from "../../onnx/data-type.ts";
import type { Graph, Model, Node, ValueInfo } from "../../onnx/model.ts";
import { Captures, orderedNodes } from "../../onnx/scope.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { readSparseTensor } from "../../onnx/sparse.ts";
import { readTensor, tensorOf } from "../../onnx/tensor.ts";
import { elementCount, type TensorArray, type TensorValue } from "../../onnx/tensor-value.ts";
import type { Feeds, Runtime } from "../../runtime/runtime.ts";
import type { TakenBranches } from "../network.ts";
import { answering, answersOf, bare } from "./answers.ts";
import { withoutIfs } from "./branches.ts";
import { ExecutionError } from "./errors.ts";
import { twinsOf } from "./twins.ts";

/** Type and size of a value; `dims` is null where they depend on the numbers fed. */
export interface ValueFacts {
  readonly dataType: number;
  readonly dims: readonly number[] | null;
}

/**
 * A model as one list of nodes for inputs of given shapes: the taken branches of its Ifs stand in their place, and what
 * no input changes (weights behind decoding, shape arithmetic) is computed.
 */
export interface FlatModel {
  /** Without initializers: those are `constants`. Opset, functions and metadata as they were. */
  readonly model: Model;
  /** For a node that was renamed: the node of the given model. */
  readonly origins: ReadonlyMap<Node, Node>;
  /** Counterparts of the given model's nodes in branches that are built alike. */
  readonly twins: ReadonlyMap<Node, readonly Node[]>;
  readonly constants: ReadonlyMap<string, TensorValue>;
  /** Facts of every value that nodes make, and of the inputs. */
  readonly values: ReadonlyMap<string, ValueFacts>;
  /** Branches of the given model's Ifs. */
  readonly taken: TakenBranches;
  /** Feeds that take the same branches as the first one. */
  readonly feeds: readonly Feeds[];
}

const RANDOM: ReadonlySet<string> = new Set([
  "Bernoulli",
  "Dropout",
  "Multinomial",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
]);
/** Types of what shape arithmetic computes. */
const SIZES: ReadonlySet<number> = new Set([DataType.INT64, DataType.INT32, DataType.BOOL]);

/**
 * @param feeds inputs of one shape, at least one
 * @throws ExecutionError `unsupported` for values that are no tensors; RuntimeLoadError or RuntimeRunError
 */
export async function flatten(model: Model, runtime: Runtime, feeds: readonly Feeds[]): Promise<FlatModel> {
  const taken = await withoutIfs(model, runtime, feeds);
  const graph = { ...taken.model.graph, nodes: orderedNodes(taken.model.graph, new Captures()) };
  const shaped = { ...taken.model, graph };
  const inputShapes = Object.fromEntries(
    Object.entries(feeds[0] ?? {}).map(([name, { dims }]) => [name, dims]),
  );
  const shapes = await inferShapes(shaped, { inputShapes });
  const captures = new Captures();
  const folded = foldable(graph, shapes, captures);
  const live = liveNodes(graph, folded, captures);
  const constants = await constantsOf(shaped, runtime, folded, live, captures);
  const fed = new Set(Object.keys(feeds[0] ?? {}));
  const flat: Model = {
    irVersion: taken.model.irVersion,
    opsetImports: taken.model.opsetImports,
    metadata: [],
    functions: taken.model.functions,
    graph: {
      name: graph.name,
      nodes: live,
      initializers: [],
      sparseInitializers: [],
      inputs: graph.inputs.filter(({ name }) => fed.has(name)),
      outputs: graph.outputs,
      valueInfo: [],
    },
  };
  const values = await factsOf(flat, constants, shapes, graph, runtime, feeds[0] ?? {});
  return {
    model: flat,
    origins: taken.origins,
    taken: taken.taken,
    twins: twinsOf(model.graph),
    constants,
    values,
    feeds: taken.feeds,
  };
}

interface Folded {
  /** Values that no input changes, with the numbers where shape inference knows them already. */
  readonly values: ReadonlyMap<string, TensorValue | null>;
  readonly nodes: ReadonlySet<Node>;
}

/** Everything that depends on constants and on the shapes of the inputs only. */
function foldable(graph: Graph, shapes: Shapes, captures: Captures): Folded {
  const values = new Map<string, TensorValue | null>();
  const nodes = new Set<Node>();
  for (const { name } of graph.initializers) values.set(name, null);
  for (const { values: own } of graph.sparseInitializers) values.set(own.name, null);
  for (const node of graph.nodes) {
    const made = node.outputs.filter((name) => name !== "");
    const sizes = made.map((name) => sizesIn(graph, name, shapes));
    if (sizes.every((value) => value !== null)) {
      made.forEach((name, i) => {
        values.set(name, sizes[i] ?? null);
      });
      continue;
    }
    const constant = [...captures.ofNode(node)].every((name) => values.has(name));
    if (!constant || RANDOM.has(node.opType)) continue;
    nodes.add(node);
    for (const name of made) values.set(name, null);
  }
  return { values, nodes };
}

/** The numbers of a small integer tensor that follow from the shapes of the inputs. */
function sizesIn(graph: Graph, name: string, shapes: Shapes): TensorValue | null {
  const fact = shapes.fact(graph, name);
  if (fact?.kind !== "tensor" || !fact.elements || !SIZES.has(fact.dataType)) return null;
  const { dataType, elements, dims } = fact;
  const sized = dims?.every((dim) => typeof dim === "number") ? (dims as readonly number[]) : null;
  if (sized === null || elementCount(sized) !== elements.length) return null;
  if (!elements.every((element) => Number.isSafeInteger(element))) return null;
  const numbers = elements as readonly number[];
  const data: TensorArray =
    dataType === DataType.INT64
      ? BigInt64Array.from(numbers, BigInt)
      : dataType === DataType.INT32
        ? Int32Array.from(numbers)
        : Uint8Array.from(numbers);
  return { dataType, dims: sized, data };
}

/** Nodes that the outputs need and that are not folded, in order. */
function liveNodes(graph: Graph, folded: Folded, captures: Captures): Node[] {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const live: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (folded.nodes.has(node) || node.outputs.every((name) => folded.values.has(name) || name === ""))
      continue;
    if (!node.outputs.some((name) => needed.has(name))) continue;
    live.push(node);
    for (const name of captures.ofNode(node)) needed.add(name);
  }
  return live.reverse();
}

/** Numbers of all constants that the live nodes read; onnxruntime computes what is not stored as it is used. */
async function constantsOf(
  model: Model,
  runtime: Runtime,
  folded: Folded,
  live: readonly Node[],
  captures: Captures,
): Promise<Map<string, TensorValue>> {
  const { graph } = model;
  const read = new Set(live.flatMap((node) => [...captures.ofNode(node)]));
  const found = new Map<string, TensorValue>();
  for (const tensor of graph.initializers) {
    if (read.has(tensor.name)) found.set(tensor.name, await readTensor(tensor));
  }
  for (const sparse of graph.sparseInitializers) {
    if (read.has(sparse.values.name)) found.set(sparse.values.name, await readSparseTensor(sparse));
  }
  const computed: ValueInfo[] = [];
  for (const [name, value] of folded.values) {
    if (!read.has(name) || found.has(name)) continue;
    if (value !== null) found.set(name, value);
    else computed.push({ name });
  }
  if (computed.length === 0) return found;
  const known = [...folded.values].flatMap(([name, value]) => (value ? [tensorOf(name, value)] : []));
  const stored = new Set(graph.initializers.map(({ name }) => name));
  const decoding = {
    ...bare(graph),
    inputs: [],
    nodes: graph.nodes.filter((node) => folded.nodes.has(node)),
    initializers: [...graph.initializers, ...known.filter(({ name }) => !stored.has(name))],
  };
  const [answer] = await answersOf(
    answering({ ...model, graph: pruned(decoding, computed) }, computed),
    runtime,
    [{}],
  );
  for (const [name, value] of Object.entries(answer ?? {})) found.set(name, value);
  return found;
}

/** The graph without what these outputs do not need. */
function pruned(graph: Graph, outputs: readonly ValueInfo[]): Graph {
  const captures = new Captures();
  const needed = new Set(outputs.map(({ name }) => name));
  const nodes = [...graph.nodes]
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const name of captures.ofNode(node)) needed.add(name);
      return true;
    })
    .reverse();
  return {
    ...graph,
    nodes,
    initializers: graph.initializers.filter(({ name }) => needed.has(name)),
    sparseInitializers: graph.sparseInitializers.filter(({ values }) => needed.has(values.name)),
  };
}

/** Types and sizes: by shape inference, and of what it does not know by a run. */
async function factsOf(
  flat: Model,
  constants: ReadonlyMap<string, TensorValue>,
  shapes: Shapes,
  graph: Graph,
  runtime: Runtime,
  feed: Feeds,
): Promise<Map<string, ValueFacts>> {
  const facts = new Map<string, ValueFacts>();
  for (const [name, { dataType, dims }] of Object.entries(feed)) facts.set(name, { dataType, dims });
  const unknown: string[] = [];
  for (const name of flat.graph.nodes.flatMap((node) => node.outputs)) {
    if (name === "") continue;
    const fact = shapes.fact(graph, name);
    if (fact && fact.kind !== "tensor") {
      throw new ExecutionError(
        "unsupported",
        `the value "${name}" is a ${fact.kind}, which no device can hand to another`,
      );
    }
    const sized = fact?.dims?.every((dim) => typeof dim === "number")
      ? (fact.dims as readonly number[])
      : null;
    if (fact === undefined || fact.dataType === DataType.UNDEFINED) unknown.push(name);
    facts.set(name, { dataType: fact?.dataType ?? DataType.UNDEFINED, dims: sized });
  }
  if (unknown.length === 0) return facts;
  const asked = answering(
    withConstants(flat, constants),
    unknown.map((name) => ({ name })),
  );
  const [answer] = await answersOf(asked, runtime, [feed]);
  for (const [name, { dataType }] of Object.entries(answer ?? {})) {
    facts.set(name, { dataType, dims: facts.get(name)?.dims ?? null });
  }
  return facts;
}

/** The flat model as one that can be run. */
export function withConstants(model: Model, constants: ReadonlyMap<string, TensorValue>): Model {
  const initializers = [...constants].map(([name, value]) => tensorOf(name, value));
  return { ...model, graph: { ...model.graph, initializers } };
}
