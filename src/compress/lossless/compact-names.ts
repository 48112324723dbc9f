import { mapGraphs, walkGraphs } from "../../onnx/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../onnx/model.ts";
import { stripped } from "./strip.ts";

/**
 * The model with the shortest names: inner values are renamed, those that are written most often shortest, and node
 * names go, with documentation and inferred types. Names of the model's inputs and outputs stay, and so do symbols of
 * dimensions, metadata, and the bodies of model-local functions. It comes last: layers can no longer be told by name.
 *
 * Where the file has fields that this project does not know and that may speak of values by name, as quantization
 * annotations and device configurations do, values keep their names.
 */
export function compactNames(model: Model): Model {
  const bare = stripped(model);
  const names = namesByUse(bare.graph);
  const annotated = Array.from(walkGraphs(bare.graph)).some(
    ({ graph }) => (graph.unknown?.length ?? 0) > 0 || graph.nodes.some((node) => node.unknown?.length),
  );
  const renamed = annotated ? new Map<string, string>() : shortNames(bare.graph, names);
  return {
    ...bare,
    graph: mapGraphs(bare.graph, (graph, path) => withNames(graph, path.length > 0, renamed)),
  };
}

/** Value names of the graph and its subgraphs with how often each is written. */
function namesByUse(root: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  const count = (name: string) => {
    if (name) uses.set(name, (uses.get(name) ?? 0) + 1);
  };
  for (const { graph } of walkGraphs(root)) {
    for (const { name } of [...graph.inputs, ...graph.outputs, ...graph.initializers]) count(name);
    for (const { values } of graph.sparseInitializers) count(values.name);
    for (const node of graph.nodes) for (const name of [...node.inputs, ...node.outputs]) count(name);
  }
  return uses;
}

/**
 * One new name for each old one, everywhere: which value a name means in which graph then stays as it is, shadowing
 * included. New names are C identifiers, as the format asks for.
 */
function shortNames(root: Graph, uses: ReadonlyMap<string, number>): Map<string, string> {
  const fixed = new Set([...root.inputs, ...root.outputs].map(({ name }) => name));
  const renamed = new Map<string, string>();
  const inner = Array.from(uses).filter(([name]) => !fixed.has(name));
  let index = 0;
  for (const [name] of inner.sort((a, b) => b[1] - a[1])) {
    let short: string;
    do short = identifier(index++);
    while (fixed.has(short));
    renamed.set(name, short);
  }
  return renamed;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
const REST = `${LETTERS}0123456789`;

/** a, b, …, _, aa, ba, … */
function identifier(index: number): string {
  let name = LETTERS[index % LETTERS.length]!;
  let rest = Math.floor(index / LETTERS.length);
  while (rest > 0) {
    rest--;
    name += REST[rest % REST.length];
    rest = Math.floor(rest / REST.length);
  }
  return name;
}

function withNames(graph: Graph, inner: boolean, renamed: ReadonlyMap<string, string>): Graph {
  const named = (name: string) => renamed.get(name) ?? name;
  const value = <T extends { readonly name: string }>(item: T): T =>
    renamed.has(item.name) ? { ...item, name: named(item.name) } : item;
  const node = (one: Node): Node => ({
    ...one,
    name: "",
    inputs: one.inputs.map(named),
    outputs: one.outputs.map(named),
  });
  return {
    ...graph,
    // Checkers ask for a name.
    name: inner ? "g" : graph.name,
    nodes: graph.nodes.map(node),
    initializers: graph.initializers.map((tensor): Tensor => value(tensor)),
    sparseInitializers: graph.sparseInitializers.map((sparse) => ({
      ...sparse,
      values: value(sparse.values),
    })),
    inputs: graph.inputs.map(value),
    outputs: graph.outputs.map(value),
  };
}
