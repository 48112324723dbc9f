import type { Attribute, AttributeValue, Graph, Model, Node, Tensor } from "./model.ts";

/** A graph of the model and where it is: the names of the nodes and attributes that lead to it. */
export interface GraphAt {
  readonly graph: Graph;
  readonly path: readonly string[];
}

/** Values of an attribute that edits can set. */
export type NewAttribute = Exclude<AttributeValue, { type: "opaque" }>;

export function findAttribute(node: Node, name: string): Attribute | undefined {
  return node.attributes.find((attribute) => attribute.name === name);
}

type Values = { readonly [V in NewAttribute as V["type"]]: V["value"] };

function attributeValue<T extends keyof Values>(node: Node, name: string, type: T): Values[T] | undefined {
  const value = findAttribute(node, name)?.value;
  return value?.type === type ? (value.value as Values[T]) : undefined;
}

/** The attribute's value, or `fallback` where it is absent or of another type. */
export function intAttribute<T>(node: Node, name: string, fallback: T): number | T {
  return attributeValue(node, name, "int") ?? fallback;
}

export function floatAttribute<T>(node: Node, name: string, fallback: T): number | T {
  return attributeValue(node, name, "float") ?? fallback;
}

export function stringAttribute<T>(node: Node, name: string, fallback: T): string | T {
  return attributeValue(node, name, "string") ?? fallback;
}

export function intsAttribute<T>(node: Node, name: string, fallback: T): readonly number[] | T {
  return attributeValue(node, name, "ints") ?? fallback;
}

export function floatsAttribute<T>(node: Node, name: string, fallback: T): readonly number[] | T {
  return attributeValue(node, name, "floats") ?? fallback;
}

export function tensorAttribute(node: Node, name: string): Tensor | undefined {
  return attributeValue(node, name, "tensor");
}

export function graphAttribute(node: Node, name: string): Graph | undefined {
  return attributeValue(node, name, "graph");
}

/** A copy of the node with these attributes set; undefined removes one. The others keep their place and bytes. */
export function withAttributes(
  node: Node,
  changes: Readonly<Record<string, NewAttribute | undefined>>,
): Node {
  const rest = new Map(Object.entries(changes));
  const attributes: Attribute[] = [];
  for (const attribute of node.attributes) {
    if (!rest.has(attribute.name)) {
      attributes.push(attribute);
      continue;
    }
    const value = rest.get(attribute.name);
    rest.delete(attribute.name);
    if (value !== undefined) attributes.push({ name: attribute.name, value });
  }
  for (const [name, value] of rest) if (value !== undefined) attributes.push({ name, value });
  return { ...node, attributes };
}

/** A new node of the standard domain without a name. */
export function nodeOf(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, NewAttribute>> = {},
): Node {
  return {
    name: "",
    opType,
    domain: "",
    inputs,
    outputs,
    attributes: Object.entries(attributes).map(([name, value]) => ({ name, value })),
  };
}

/** The subgraphs that the node's attributes hold. */
export function subgraphsOf(node: Node): { attribute: string; graph: Graph }[] {
  const found: { attribute: string; graph: Graph }[] = [];
  for (const { name, value } of node.attributes) {
    if (value.type === "graph") found.push({ attribute: name, graph: value.value });
    else if (value.type === "graphs") {
      value.value.forEach((graph, index) => {
        found.push({ attribute: `${name}[${index}]`, graph });
      });
    }
  }
  return found;
}

/** The graph and every subgraph of If, Loop and Scan bodies, outer ones first. */
export function* walkGraphs(graph: Graph, path: readonly string[] = []): Generator<GraphAt> {
  yield { graph, path };
  for (const [index, node] of graph.nodes.entries()) {
    for (const inner of subgraphsOf(node)) {
      yield* walkGraphs(inner.graph, [...path, nodeLabel(node, index), inner.attribute]);
    }
  }
}

/** Rewrites every subgraph and then the graph; what `rewrite` answers unchanged keeps its bytes. */
export function mapGraphs(
  graph: Graph,
  rewrite: (graph: Graph, path: readonly string[]) => Graph,
  path: readonly string[] = [],
): Graph {
  const inner = mapSubgraphs(graph, (one, steps) => mapGraphs(one, rewrite, [...path, ...steps]));
  return rewrite(inner, path);
}

/** Replaces the graphs that the graph's own nodes hold, and only those. */
function mapSubgraphs(graph: Graph, replace: (graph: Graph, path: readonly string[]) => Graph): Graph {
  const nodes = same(graph.nodes, (node, index) => {
    const attributes = same(node.attributes, (attribute): Attribute => {
      const { name, value } = attribute;
      const base = [nodeLabel(node, index), name];
      if (value.type === "graph") {
        const inner = replace(value.value, base);
        return inner === value.value ? attribute : { ...attribute, value: { type: "graph", value: inner } };
      }
      if (value.type === "graphs") {
        const inner = same(value.value, (one, at) => replace(one, [base[0]!, `${name}[${at}]`]));
        return inner === value.value ? attribute : { ...attribute, value: { type: "graphs", value: inner } };
      }
      return attribute;
    });
    return attributes === node.attributes ? node : { ...node, attributes };
  });
  return nodes === graph.nodes ? graph : { ...graph, nodes };
}

/** How paths call a node: by its name, or by its operator and place where it has none. */
export function nodeLabel(node: Node, index: number): string {
  return node.name || `${node.opType}_${index}`;
}

/** Maps a list; the list itself when nothing changed. */
function same<T>(list: readonly T[], change: (item: T, index: number) => T): readonly T[] {
  const changed = list.map(change);
  return changed.every((item, index) => item === list[index]) ? list : changed;
}

/**
 * Names that nothing in the model has yet, values and nodes of subgraphs included: `stem` itself when it is free,
 * `stem_1`, `stem_2`, … otherwise. A name is given once.
 */
export function freshNames(model: Model): (stem: string) => string {
  const taken = new Set<string>();
  for (const { graph } of walkGraphs(model.graph)) {
    for (const { name } of [...graph.inputs, ...graph.outputs, ...graph.valueInfo, ...graph.initializers]) {
      taken.add(name);
    }
    for (const { values } of graph.sparseInitializers) taken.add(values.name);
    for (const node of graph.nodes) {
      taken.add(node.name);
      for (const name of [...node.inputs, ...node.outputs]) taken.add(name);
    }
  }
  // Where the last name of a stem ended, since some stems are asked for thousands of times.
  const last = new Map<string, number>();
  return (stem) => {
    let name = stem;
    let i = last.get(stem) ?? 0;
    while (name === "" || taken.has(name)) name = `${stem}_${++i}`;
    last.set(stem, i);
    taken.add(name);
    return name;
  };
}
