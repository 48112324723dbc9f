import { walkGraphs } from "./edit.ts";
import type { Graph, Node, SparseTensor, Tensor } from "./model.ts";

/** Where a constant's numbers are stored. */
export type Holder =
  | { readonly kind: "initializer"; readonly tensor: Tensor }
  | { readonly kind: "sparse_initializer"; readonly tensor: SparseTensor }
  | { readonly kind: "constant"; readonly node: Node; readonly tensor: Tensor }
  | { readonly kind: "sparse_constant"; readonly node: Node; readonly tensor: SparseTensor };

/** A constant seen from some graph, and the graph that holds it. */
export interface HeldConstant {
  readonly holder: Holder;
  /** Name of the value in the graph that holds it. */
  readonly name: string;
  readonly graph: Graph;
  /** As walkGraphs gives it; [] is the model's own graph. */
  readonly path: readonly string[];
  /** True when a DequantizeLinear stands between the numbers and their use. */
  readonly dequantized: boolean;
}

interface Scope {
  readonly graph: Graph;
  readonly path: readonly string[];
  readonly outer: Scope | undefined;
  readonly values: ReadonlyMap<string, Holder | Node>;
}

/** Longest chain of Identity nodes that is followed. */
const MAX_CHAIN = 64;

/** The graph and its subgraphs, with the constants that each of them sees, its own and those around it. */
export class ConstantHolders {
  readonly #scopes = new Map<Graph, Scope>();

  constructor(root: Graph) {
    const byPath = new Map<string, Scope>();
    for (const { graph, path } of walkGraphs(root)) {
      // A path has two steps for each level: the node and the attribute.
      const outer = path.length === 0 ? undefined : byPath.get(JSON.stringify(path.slice(0, -2)));
      const scope: Scope = { graph, path, outer, values: valuesOf(graph) };
      byPath.set(JSON.stringify(path), scope);
      this.#scopes.set(graph, scope);
    }
  }

  /**
   * The constant behind a value, through Identity and DequantizeLinear nodes; undefined when it is computed or fed.
   */
  find(graph: Graph, name: string): HeldConstant | undefined {
    let scope = this.#scopes.get(graph);
    let wanted = name;
    let dequantized = false;
    for (let steps = 0; scope && steps < MAX_CHAIN; ) {
      const value = scope.values.get(wanted);
      if (!value) {
        scope = scope.outer;
        continue;
      }
      if ("kind" in value) {
        return { holder: value, name: wanted, graph: scope.graph, path: scope.path, dequantized };
      }
      if (value.opType === "DequantizeLinear") dequantized = true;
      else if (value.opType !== "Identity") return undefined;
      wanted = value.inputs[0] ?? "";
      steps++;
    }
    return undefined;
  }
}

function valuesOf(graph: Graph): ReadonlyMap<string, Holder | Node> {
  const values = new Map<string, Holder | Node>();
  for (const tensor of graph.initializers) values.set(tensor.name, { kind: "initializer", tensor });
  for (const tensor of graph.sparseInitializers) {
    values.set(tensor.values.name, { kind: "sparse_initializer", tensor });
  }
  for (const node of graph.nodes) {
    const constant = node.opType === "Constant" ? constantOf(node) : undefined;
    for (const output of node.outputs) if (output !== "") values.set(output, constant ?? node);
  }
  return values;
}

function constantOf(node: Node): Holder | undefined {
  for (const { name, value } of node.attributes) {
    if (name === "value" && value.type === "tensor") return { kind: "constant", node, tensor: value.value };
    if (name === "sparse_value" && value.type === "sparse_tensor") {
      return { kind: "sparse_constant", node, tensor: value.value };
    }
  }
  return undefined;
}
