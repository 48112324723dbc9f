import { subgraphsOf } from "../../onnx/edit.ts";
import type { Attribute, Graph, Node, SparseTensor, Tensor, ValueInfo } from "../../onnx/model.ts";

/**
 * One graph under rewriting, with its indices kept up to date: who makes a value, who uses it, which are
 * constant. Subgraphs are scopes of their own whose parent is the scope around them; a node uses what its
 * subgraphs use.
 */
export class Scope {
  readonly parent: Scope | null;
  /** Path of subgraph attributes from the main graph: "" or "/<first output of the node>.<attribute>…". */
  readonly path: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #graph: Graph;
  readonly #nodes: (Node | null)[];
  readonly #initializers = new Map<string, Tensor>();
  readonly #sparse: Map<string, SparseTensor>;
  readonly #producers = new Map<string, number>();
  readonly #uses = new Map<string, Set<number>>();
  readonly #outputNames: ReadonlySet<string>;
  readonly #inputNames: ReadonlySet<string>;
  /** Nodes to be put in front of the node with the index. */
  readonly #before = new Map<number, number[]>();
  readonly #free: FreeNames;
  readonly #operators = new Map<string, number>();
  readonly #withBodies = new Set<number>();
  /** Scopes of subgraphs, kept while their graph is in one of the nodes. */
  readonly #bodies = new Map<Graph, Scope>();
  #removedInitializers = false;

  constructor(graph: Graph, parent: Scope | null, path: string) {
    this.#graph = graph;
    this.parent = parent;
    this.#free = parent ? parent.#free : new FreeNames();
    this.path = path;
    this.inputs = graph.inputs;
    this.outputs = graph.outputs;
    this.#outputNames = new Set(graph.outputs.map((output) => output.name));
    this.#inputNames = new Set(graph.inputs.map((input) => input.name));
    this.#nodes = [...graph.nodes];
    for (const tensor of graph.initializers) this.#initializers.set(tensor.name, tensor);
    this.#sparse = new Map(graph.sparseInitializers.map((sparse) => [sparse.values.name, sparse]));
    this.#nodes.forEach((node, index) => {
      if (node) this.#index(node, index);
    });
  }

  /** The scope of a subgraph of one of the nodes; `path` is where it is first met. */
  body(graph: Graph, path: string): Scope {
    const known = this.#bodies.get(graph);
    if (known) return known;
    const scope = new Scope(graph, this, path);
    this.#bodies.set(graph, scope);
    return scope;
  }

  /** Says that the scope's graph was put into its node in another form. */
  keepBody(graph: Graph, scope: Scope): void {
    this.#bodies.set(graph, scope);
  }

  /** Nodes that are still there, in topological order, with their indices. Nodes changed meanwhile are seen changed. */
  *nodes(): Generator<[number, Node]> {
    for (let i = 0; i < this.#graph.nodes.length; i++) {
      for (const at of this.#before.get(i) ?? NOTHING) {
        const inserted = this.#nodes[at];
        if (inserted) yield [at, inserted];
      }
      const node = this.#nodes[i];
      if (node) yield [i, node];
    }
  }

  /** Whether one of the operators occurs in this very graph. */
  hasAny(opTypes: readonly string[]): boolean {
    return opTypes.some((opType) => (this.#operators.get(opType) ?? 0) > 0);
  }

  /** Nodes with subgraphs, in no particular order. */
  nodesWithBodies(): [number, Node][] {
    return Array.from(this.#withBodies, (index) => [index, this.node(index)!]);
  }

  node(index: number): Node | undefined {
    return this.#nodes[index] ?? undefined;
  }

  producer(name: string): number | undefined {
    return this.#producers.get(name);
  }

  /** The node of this very graph that makes the value. */
  producerNode(name: string): Node | undefined {
    const index = this.#producers.get(name);
    return index === undefined ? undefined : this.node(index);
  }

  /** Nodes that use the value themselves or inside their subgraphs. */
  uses(name: string): ReadonlySet<number> {
    return this.#uses.get(name) ?? NO_USES;
  }

  isOutput(name: string): boolean {
    return this.#outputNames.has(name);
  }

  isInput(name: string): boolean {
    return this.#inputNames.has(name);
  }

  isUsed(name: string): boolean {
    return this.isOutput(name) || this.uses(name).size > 0;
  }

  /** True when a node that is not among those given uses the value. */
  isUsedOutside(name: string, nodes: { has(index: number): boolean }): boolean {
    for (const user of this.uses(name)) if (!nodes.has(user)) return true;
    return false;
  }

  /** True when the value feeds exactly one input of the one node, and is neither an output nor seen by a subgraph. */
  feedsOnly(name: string, index: number): boolean {
    const uses = this.uses(name);
    const node = this.node(index);
    return (
      !this.isOutput(name) &&
      uses.size === 1 &&
      uses.has(index) &&
      node !== undefined &&
      node.inputs.filter((input) => input === name).length === 1 &&
      !this.#free.capturedBy(node, name)
    );
  }

  /** The node that alone uses the value. */
  soleUser(name: string): { index: number; node: Node } | undefined {
    const [index] = this.uses(name);
    if (index === undefined || !this.feedsOnly(name, index)) return undefined;
    return { index, node: this.node(index)! };
  }

  /** True when this graph gives the name a meaning: an input, an initializer or a node's output. */
  defines(name: string): boolean {
    return (
      this.isInput(name) ||
      this.#initializers.has(name) ||
      this.#sparse.has(name) ||
      this.#producers.has(name)
    );
  }

  /**
   * The initializer a name stands for, here or around, unless it may be overridden by the caller (an initializer
   * that is a graph input as well).
   */
  constant(name: string): Tensor | undefined {
    const own = this.#initializers.get(name);
    if (own) return this.isInput(name) ? undefined : own;
    return this.defines(name) ? undefined : this.parent?.constant(name);
  }

  /** The initializer of this very graph, when it may not be overridden. */
  ownConstant(name: string): Tensor | undefined {
    return this.isInput(name) ? undefined : this.#initializers.get(name);
  }

  /** Initializers of this graph. */
  initializers(): IterableIterator<[string, Tensor]> {
    return this.#initializers.entries();
  }

  sparseInitializers(): IterableIterator<[string, SparseTensor]> {
    return this.#sparse.entries();
  }

  addInitializer(tensor: Tensor): void {
    this.#initializers.set(tensor.name, tensor);
  }

  removeInitializer(name: string): void {
    if (this.#initializers.delete(name) || this.#sparse.delete(name)) this.#removedInitializers = true;
  }

  /** Puts another node, or none, in a node's place. */
  replace(index: number, node: Node | null): void {
    const old = this.#nodes[index];
    if (old) this.#forget(old, index);
    this.#nodes[index] = node;
    if (node) this.#index(node, index);
  }

  remove(index: number): void {
    this.replace(index, null);
  }

  /** Adds a node in front of another one and answers its index. */
  insertBefore(index: number, node: Node): number {
    const at = this.#nodes.length;
    this.#nodes.push(node);
    const anchor = this.#anchorOf(index);
    this.#before.set(anchor, [...(this.#before.get(anchor) ?? []), at]);
    this.#index(node, at);
    return at;
  }

  #anchorOf(index: number): number {
    if (index < this.#graph.nodes.length) return index;
    for (const [anchor, inserted] of this.#before) if (inserted.includes(index)) return anchor;
    return index;
  }

  /**
   * Makes every user of one value use another, inside subgraphs too. False, and nothing changed, when a subgraph
   * gives the new name a meaning of its own. Outputs of this graph are not renamed.
   */
  redirect(from: string, to: string): boolean {
    const changed: [number, Node][] = [];
    for (const index of this.uses(from)) {
      const node = renamedInputs(this.node(index)!, from, to, this.#free);
      if (!node) return false;
      changed.push([index, node]);
    }
    for (const [index, node] of changed) this.replace(index, node);
    return true;
  }

  /**
   * Lets `to` take the place of `from`, a value of this graph that is about to lose its maker. When `from` is an
   * output of the graph its name has to stay: then the node that makes `to` makes `from` instead. False, and
   * nothing changed, when that is not possible.
   */
  substitute(from: string, to: string): boolean {
    if (!this.isOutput(from)) return this.redirect(from, to);
    const maker = this.producer(to);
    if (maker === undefined || this.isOutput(to) || this.isInput(to)) return false;
    const users = [...this.uses(to)].map((index): [number, Node | null] => [
      index,
      renamedInputs(this.node(index)!, to, from, this.#free),
    ]);
    if (users.some(([, node]) => node === null)) return false;
    for (const [index, node] of users) this.replace(index, node);
    const node = this.node(maker)!;
    this.replace(maker, {
      ...node,
      outputs: node.outputs.map((output) => (output === to ? from : output)),
    });
    this.#producers.set(from, maker);
    return true;
  }

  /** The graph as it is now. */
  toGraph(): Graph {
    const nodes = Array.from(this.nodes(), ([, node]) => node);
    const initializers = [...this.#initializers.values()];
    const same =
      !this.#removedInitializers &&
      nodes.length === this.#graph.nodes.length &&
      nodes.every((node, i) => node === this.#graph.nodes[i]) &&
      initializers.length === this.#graph.initializers.length &&
      initializers.every((tensor, i) => tensor === this.#graph.initializers[i]);
    if (same) return this.#graph;
    return { ...this.#graph, nodes, initializers, sparseInitializers: [...this.#sparse.values()] };
  }

  #index(node: Node, index: number): void {
    this.#operators.set(node.opType, (this.#operators.get(node.opType) ?? 0) + 1);
    if (hasSubgraphs(node)) this.#withBodies.add(index);
    for (const output of node.outputs) if (output) this.#producers.set(output, index);
    for (const name of this.#free.usedBy(node)) {
      const users = this.#uses.get(name);
      if (users) users.add(index);
      else this.#uses.set(name, new Set([index]));
    }
  }

  #forget(node: Node, index: number): void {
    this.#operators.set(node.opType, this.#operators.get(node.opType)! - 1);
    this.#withBodies.delete(index);
    for (const output of node.outputs) {
      if (this.#producers.get(output) === index) this.#producers.delete(output);
    }
    for (const name of this.#free.usedBy(node)) this.#uses.get(name)?.delete(index);
  }
}

const NO_USES: ReadonlySet<number> = new Set();
const NOTHING: readonly number[] = [];

function hasSubgraphs(node: Node): boolean {
  return node.attributes.some(({ value }) => value.type === "graph" || value.type === "graphs");
}

/** Names that graphs take from the scopes around them, each graph looked at once. */
class FreeNames {
  readonly #known = new WeakMap<Graph, ReadonlySet<string>>();

  of(graph: Graph): ReadonlySet<string> {
    const known = this.#known.get(graph);
    if (known) return known;
    const own = definedNames(graph);
    const free = new Set<string>();
    for (const node of graph.nodes) for (const name of this.usedBy(node)) if (!own.has(name)) free.add(name);
    for (const output of graph.outputs) if (!own.has(output.name)) free.add(output.name);
    this.#known.set(graph, free);
    return free;
  }

  /** Names that a node reads, in its inputs and from inside its subgraphs. */
  usedBy(node: Node): Iterable<string> {
    if (!hasSubgraphs(node)) return node.inputs.filter((name) => name !== "");
    const names = new Set(node.inputs);
    for (const { graph } of subgraphsOf(node)) for (const name of this.of(graph)) names.add(name);
    names.delete("");
    return names;
  }

  /** Whether a subgraph of the node reads the name. */
  capturedBy(node: Node, name: string): boolean {
    return hasSubgraphs(node) && subgraphsOf(node).some(({ graph }) => this.of(graph).has(name));
  }
}

function definedNames(graph: Graph): Set<string> {
  return new Set([
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.map((tensor) => tensor.name),
    ...graph.sparseInitializers.map((sparse) => sparse.values.name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
}

/** The node reading `to` wherever it read `from`; null when a subgraph gives `to` a meaning of its own. */
function renamedInputs(node: Node, from: string, to: string, free: FreeNames): Node | null {
  const inputs = node.inputs.map((input) => (input === from ? to : input));
  if (!hasSubgraphs(node)) return { ...node, inputs };
  const attributes: Attribute[] = [];
  for (const attribute of node.attributes) {
    const { value } = attribute;
    if (value.type === "graph") {
      const graph = renamedIn(value.value, from, to, free);
      if (!graph) return null;
      attributes.push(
        graph === value.value ? attribute : { ...attribute, value: { type: "graph", value: graph } },
      );
    } else if (value.type === "graphs") {
      const graphs: Graph[] = [];
      for (const each of value.value) {
        const graph = renamedIn(each, from, to, free);
        if (!graph) return null;
        graphs.push(graph);
      }
      attributes.push({ ...attribute, value: { type: "graphs", value: graphs } });
    } else attributes.push(attribute);
  }
  return { ...node, inputs, attributes };
}

function renamedIn(graph: Graph, from: string, to: string, free: FreeNames): Graph | null {
  if (!free.of(graph).has(from)) return graph;
  if (definedNames(graph).has(to)) return null;
  // A subgraph's output is a value of its own graph in every version of the format: it cannot be renamed away.
  if (graph.outputs.some((output) => output.name === from)) return null;
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const reads = node.inputs.includes(from) || free.capturedBy(node, from);
    const renamed = reads ? renamedInputs(node, from, to, free) : node;
    if (!renamed) return null;
    nodes.push(renamed);
  }
  return { ...graph, nodes };
}
