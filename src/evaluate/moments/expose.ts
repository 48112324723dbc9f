import { DataType } from "../../onnx/data-type.ts";
import { freshNames, graphAttribute, mapGraphs, nodeLabel, nodeOf, withAttributes } from "../../onnx/edit.ts";
import type { Graph, Model, Node, ValueInfo } from "../../onnx/model.ts";
import { Captures } from "../../onnx/scope.ts";
import { tensorOf } from "../../onnx/tensor.ts";

/** A value of one of the model's graphs, as that graph calls it. */
export interface ValueAt {
  readonly path: readonly string[];
  readonly name: string;
}

/**
 * The model with these values as its only outputs, in order, as float32, and without the nodes that none of them needs.
 * A value inside a branch of an If comes out of the If, too: an empty vector where the branch was not taken.
 * Values in bodies of other operators cannot be asked for.
 */
export function exposeValues(
  model: Model,
  values: readonly ValueAt[],
): { model: Model; outputs: readonly string[] } {
  const fresh = freshNames(model);
  const wanted = new Map<string, { name: string; index: number }[]>();
  for (const [index, { path, name }] of values.entries()) {
    const key = JSON.stringify(path);
    wanted.set(key, [...(wanted.get(key) ?? []), { name, index }]);
  }
  const { graph, added } = exposedIn(model.graph, [], { wanted, fresh });
  const outputs = values.map((_, index) => {
    const found = added.find((one) => one.index === index);
    if (!found)
      throw new RangeError(`no graph ${JSON.stringify(values[index]!.path)} under Ifs of the model`);
    return found.output;
  });
  const exposed = { ...graph, outputs: outputs.map(floatInfo) };
  return { model: { ...model, graph: withoutUnneeded(exposed) }, outputs };
}

interface Request {
  readonly wanted: ReadonlyMap<string, readonly { readonly name: string; readonly index: number }[]>;
  readonly fresh: (stem: string) => string;
}

/** An output that a graph has for the value of this index. */
interface Added {
  readonly index: number;
  readonly output: string;
}

interface Exposed {
  readonly graph: Graph;
  readonly added: readonly Added[];
}

/** The graph with nodes that make the wanted values of its own and of the branches in it; outputs are not declared yet. */
function exposedIn(graph: Graph, path: readonly string[], request: Request): Exposed {
  const added: Added[] = [];
  const nodes = graph.nodes.map((node, index) => {
    if (node.opType !== "If") return node;
    const branch = (name: string): Exposed | undefined => {
      const inner = graphAttribute(node, name);
      return inner && exposedIn(inner, [...path, nodeLabel(node, index), name], request);
    };
    const [taken, other] = [branch("then_branch"), branch("else_branch")];
    if (!taken || !other || taken.added.length + other.added.length === 0) return node;
    const names = [...taken.added, ...other.added].map((one) => {
      const output = request.fresh("hone_seen");
      added.push({ index: one.index, output });
      return output;
    });
    const none = (count: number) => Array.from({ length: count }, () => null);
    const thenOutputs = [...taken.added.map(({ output }) => output), ...none(other.added.length)];
    const elseOutputs = [...none(taken.added.length), ...other.added.map(({ output }) => output)];
    return withAttributes(
      { ...node, outputs: [...node.outputs, ...names] },
      {
        then_branch: { type: "graph", value: withOutputs(taken.graph, thenOutputs, request.fresh) },
        else_branch: { type: "graph", value: withOutputs(other.graph, elseOutputs, request.fresh) },
      },
    );
  });
  for (const { name, index } of request.wanted.get(JSON.stringify(path)) ?? []) {
    const output = request.fresh("hone_seen");
    nodes.push(nodeOf("Cast", [name], [output], { to: { type: "int", value: DataType.FLOAT } }));
    added.push({ index, output });
  }
  return { graph: nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes }, added };
}

/** The branch with further outputs; an empty vector for each null. */
function withOutputs(graph: Graph, more: readonly (string | null)[], fresh: (stem: string) => string): Graph {
  const nodes: Node[] = [];
  const names = more.map((name) => {
    if (name !== null) return name;
    const empty = fresh("hone_unseen");
    const value = tensorOf("", { dataType: DataType.FLOAT, dims: [0], data: new Float32Array(0) });
    nodes.push(nodeOf("Constant", [], [empty], { value: { type: "tensor", value } }));
    return empty;
  });
  return {
    ...graph,
    nodes: [...graph.nodes, ...nodes],
    outputs: [...graph.outputs, ...names.map(floatInfo)],
  };
}

function floatInfo(name: string): ValueInfo {
  return { name, type: { kind: "tensor", dataType: DataType.FLOAT } };
}

/** Without nodes and initializers that no output needs; a run for early layers computes nothing of the late ones. */
function withoutUnneeded(graph: Graph): Graph {
  const captures = new Captures();
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    for (const name of captures.ofNode(node)) needed.add(name);
    kept.push(node);
  }
  // An initializer that is an input, too, is the input's default value.
  for (const { name } of graph.inputs) needed.add(name);
  return {
    ...graph,
    nodes: kept.reverse(),
    initializers: graph.initializers.filter(({ name }) => needed.has(name)),
    sparseInitializers: graph.sparseInitializers.filter(({ values }) => needed.has(values.name)),
    valueInfo: [],
  };
}

const RECURRENT: ReadonlySet<string> = new Set(["LSTM", "GRU", "RNN"]);

/** The model with a name for the states Y of every recurrent node, which may be left out where nobody reads them. */
export function withStateOutputs(model: Model): Model {
  const fresh = freshNames(model);
  const graph = mapGraphs(model.graph, (one) => {
    const nodes = one.nodes.map((node) => {
      if (!RECURRENT.has(node.opType) || node.domain !== "" || node.outputs[0]) return node;
      return { ...node, outputs: [fresh("hone_states"), ...node.outputs.slice(1)] };
    });
    return nodes.every((node, i) => node === one.nodes[i]) ? one : { ...one, nodes };
  });
  return graph === model.graph ? model : { ...model, graph };
}
