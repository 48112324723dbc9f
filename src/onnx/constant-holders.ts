import { walkGraphs } from "./edit.ts";
import type { Graph, Node, SparseTensor, Tensor } from "./model.ts";
import { elementCount } from "./tensor-value.ts";

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
  /**
   * What stands between the numbers and their use: nothing but Identity nodes ("plain"), a DequantizeLinear, or
   * nodes that rearrange or cast them ("derived"), which constant folding would evaluate.
   */
  readonly form: ConstantForm;
}

export type ConstantForm = "plain" | "dequantized" | "derived";

interface Scope {
  readonly graph: Graph;
  readonly path: readonly string[];
  readonly outer: Scope | undefined;
  readonly values: ReadonlyMap<string, Holder | Node>;
}

/** Most nodes between a constant and its use. */
const MAX_CHAIN = 64;

/** Nodes that pass a constant on, and what becomes of it. */
const PASSES: Readonly<Record<string, ConstantForm>> = {
  Identity: "plain",
  DequantizeLinear: "dequantized",
  Cast: "derived",
  Concat: "derived",
  Flatten: "derived",
  Reshape: "derived",
  Slice: "derived",
  Squeeze: "derived",
  Tile: "derived",
  Transpose: "derived",
  Unsqueeze: "derived",
};

/** Nodes that compute a weight from several constants, as compact storage does; the largest of them holds it. */
const REBUILDS: ReadonlySet<string> = new Set([
  "CumSum",
  "Div",
  "Floor",
  "Gather",
  "MatMul",
  "Mod",
  "Mul",
  "ScatterElements",
  "Sub",
  "Tile",
]);

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
   * The constant behind a value; undefined when it is computed, fed, or put together from several constants.
   */
  find(graph: Graph, name: string): HeldConstant | undefined {
    const scope = this.#scopes.get(graph);
    return scope && trace(scope, name, { left: MAX_CHAIN });
  }

  /** What a value is stored in or made by, and the graph of that; undefined where it is fed. */
  maker(graph: Graph, name: string): { readonly graph: Graph; readonly made: Holder | Node } | undefined {
    for (let scope = this.#scopes.get(graph); scope; scope = scope.outer) {
      const made = scope.values.get(name);
      if (made) return { graph: scope.graph, made };
    }
    return undefined;
  }
}

function trace(start: Scope, name: string, steps: { left: number }): HeldConstant | undefined {
  for (let scope: Scope | undefined = start; scope; scope = scope.outer) {
    const value = scope.values.get(name);
    if (!value) continue;
    if ("kind" in value) return { holder: value, name, graph: scope.graph, path: scope.path, form: "plain" };
    if (REBUILDS.has(value.opType)) return rebuilt(scope, value, steps);
    const form = PASSES[value.opType];
    if (!form) return undefined;
    // All parts of a Concat have to come from one constant, as when an exporter reorders an LSTM's gates.
    let found: HeldConstant | undefined;
    for (const input of value.opType === "Concat" ? value.inputs : value.inputs.slice(0, 1)) {
      const part = steps.left-- > 0 ? trace(scope, input, steps) : undefined;
      if (!part || (found && part.holder.tensor !== found.holder.tensor)) return undefined;
      found = part;
    }
    return found && (form === "plain" ? found : { ...found, form });
  }
  return undefined;
}

/** The largest of the constants that a node computes with; undefined where not all its inputs are constant. */
function rebuilt(scope: Scope, { inputs }: Node, steps: { left: number }): HeldConstant | undefined {
  let largest: HeldConstant | undefined;
  for (const input of inputs) {
    const maker = scope.values.get(input);
    // Zeros to scatter into: nothing is stored for them.
    if (maker && !("kind" in maker) && maker.opType === "ConstantOfShape") continue;
    const part = steps.left-- > 0 ? trace(scope, input, steps) : undefined;
    if (!part) return undefined;
    if (!largest || elementsOf(part) > elementsOf(largest)) largest = part;
  }
  return largest && { ...largest, form: "derived" };
}

function elementsOf({ holder }: HeldConstant): number {
  return elementCount(holder.tensor.dims);
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
