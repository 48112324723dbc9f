import { subgraphsOf } from "./edit.ts";
import { ModelError } from "./errors.ts";
import type { Graph, Model, Node } from "./model.ts";

/**
 * Names that each graph and node reads from outside: a node's inputs and what the subgraphs in its attributes take
 * from the graphs around them.
 */
export class Captures {
  private readonly free = new Map<Graph, ReadonlySet<string>>();

  /** Value names the graph uses and does not define. */
  ofGraph(graph: Graph): ReadonlySet<string> {
    const known = this.free.get(graph);
    if (known !== undefined) return known;
    const own = definedNames(graph);
    const used = new Set<string>();
    for (const node of graph.nodes) for (const name of this.ofNode(node)) if (!own.has(name)) used.add(name);
    for (const { name } of graph.outputs) if (!own.has(name)) used.add(name);
    this.free.set(graph, used);
    return used;
  }

  /** The node's inputs, then what its subgraphs capture; without "", the input that is left out. */
  ofNode(node: Node): ReadonlySet<string> {
    const used = new Set(node.inputs);
    used.delete("");
    for (const { graph } of subgraphsOf(node)) for (const name of this.ofGraph(graph)) used.add(name);
    return used;
  }
}

/** Names that the graph itself gives a value: inputs, initializers and node outputs. */
export function definedNames(graph: Graph): Set<string> {
  const names = new Set<string>();
  for (const { name } of graph.inputs) names.add(name);
  for (const { name } of graph.initializers) names.add(name);
  for (const { values } of graph.sparseInitializers) names.add(values.name);
  for (const node of graph.nodes) for (const name of node.outputs) names.add(name);
  names.delete("");
  return names;
}

/**
 * The graph's nodes with every producer before its consumers, otherwise in their order; the list itself when it is
 * in order already.
 * @throws ModelError `cyclic_graph`.
 */
export function orderedNodes(graph: Graph, captures: Captures): readonly Node[] {
  const producer = new Map<string, number>();
  graph.nodes.forEach((node, index) => {
    for (const name of node.outputs) if (name !== "") producer.set(name, index);
  });
  const consumers: number[][] = graph.nodes.map(() => []);
  const waitingFor = new Int32Array(graph.nodes.length);
  let inOrder = true;
  graph.nodes.forEach((node, index) => {
    const sources = new Set<number>();
    for (const name of captures.ofNode(node)) {
      const source = producer.get(name);
      if (source !== undefined) sources.add(source);
    }
    for (const source of sources) {
      consumers[source]!.push(index);
      waitingFor[index]!++;
      if (source >= index) inOrder = false;
    }
  });
  if (inOrder) return graph.nodes;
  const ready = new MinHeap();
  waitingFor.forEach((count, index) => {
    if (count === 0) ready.push(index);
  });
  const ordered: Node[] = [];
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    ordered.push(graph.nodes[index]!);
    for (const consumer of consumers[index]!) if (--waitingFor[consumer]! === 0) ready.push(consumer);
  }
  if (ordered.length < graph.nodes.length) {
    const stuck = graph.nodes.find((_, index) => waitingFor[index]! > 0)!;
    throw new ModelError(
      "cyclic_graph",
      `the graph has a cycle through the ${stuck.opType} node that makes "${stuck.outputs[0] ?? stuck.name}"; a node must not need its own output`,
    );
  }
  return ordered;
}

/** Smallest index first, so that ordering changes no more than it has to. */
class MinHeap {
  private readonly items: number[] = [];

  push(item: number): void {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || items.length === 0) return top;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

/** The opset of the standard domain, ai.onnx; undefined where the model imports none. */
export function standardOpset(model: Model): number | undefined {
  return model.opsetImports.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version;
}
