import { ConstantHolders, type HeldConstant } from "./constant-holders.ts";
import { DataType } from "./data-type.ts";
import { walkGraphs } from "./edit.ts";
import { geometryOf, type LayerGeometry } from "./layer-geometry.ts";
import type { Dim, Graph, Model, Node } from "./model.ts";
import { nodeMacs } from "./operators/macs.ts";
import { countOf, nodeShapes, times } from "./operators/node-shapes.ts";
import { type WeightInput, weightInputs } from "./operators/weight-roles.ts";
import { isStatic } from "./shapes/facts.ts";
import type { Shapes } from "./shapes/shapes.ts";
import { tensorByteLength } from "./tensor.ts";
import { elementCount } from "./tensor-value.ts";

/** A weight and the nodes that compute with it. LSTM, GRU and RNN nodes give two: their W and their R. */
export interface Layer {
  /**
   * Unique in the model and the same at every reading: the name of the first node that uses the weight (with .W or
   * .R for recurrent ones), else the weight's own name, with "#2", "#3", … where that is taken.
   */
  readonly name: string;
  /** Operator of the first node that uses it. */
  readonly op: string;
  /** Where the numbers are. */
  readonly weight: HeldConstant;
  readonly dims: readonly number[];
  /** DataType code of the stored numbers. */
  readonly dataType: number;
  /** Elements of the dense weight. */
  readonly parameters: number;
  /** Bytes that its numbers take in the file (values and indices where it is stored sparsely). */
  readonly bytes: number;
  /** Multiply-accumulates of all its uses in one run; null when shapes are not known. Look-ups have none. */
  readonly macs: number | null;
  /** All nodes that use it, in the order of the file. At least one. */
  readonly uses: readonly LayerUse[];
  /** Why no method takes it; null where they may. */
  readonly fixed: string | null;
}

export interface LayerUse {
  readonly node: Node;
  /** The graph that the node is in, and the way to it as walkGraphs gives it. */
  readonly graph: Graph;
  readonly path: readonly string[];
  /** Which of the node's inputs the weight is; `node.inputs[input]` may be the name of an Identity of it. */
  readonly input: number;
  readonly geometry: LayerGeometry;
  readonly macs: number | null;
}

const FLOATS: ReadonlySet<number> = new Set([
  DataType.FLOAT,
  DataType.FLOAT16,
  DataType.BFLOAT16,
  DataType.DOUBLE,
]);

interface Found {
  readonly weight: HeldConstant;
  readonly role: WeightInput;
  readonly dims: readonly number[];
  readonly uses: LayerUse[];
}

/**
 * Every layer of the model, those inside If, Loop and Scan included, in the order in which they are first used. A
 * weight that several nodes use is listed once. Bodies of model-local functions are not looked into.
 */
export function listLayers(model: Model, shapes: Shapes): Layer[] {
  const holders = new ConstantHolders(model.graph);
  const found = new Map<object, Found>();
  for (const { graph, path } of walkGraphs(model.graph)) {
    for (const node of graph.nodes) {
      for (const role of weightsOf(node, graph, holders)) {
        const seen = nodeShapes(shapes, graph, node).inputs[role.input.index];
        const dims = dimsInUse(role.weight, seen);
        if (dims.length < 2) continue;
        const use = useOf(node, graph, path, role.input, dims, shapes);
        const known = found.get(role.weight.holder.tensor);
        if (known) known.uses.push(use);
        else
          found.set(role.weight.holder.tensor, { weight: role.weight, role: role.input, dims, uses: [use] });
      }
    }
  }
  const names = uniqueNames();
  return [...found.values()].map((entry) => layerOf(entry, names, model));
}

/** The constant weights of a node: of a product with two constant sides only the right one. */
function weightsOf(
  node: Node,
  graph: Graph,
  holders: ConstantHolders,
): { input: WeightInput; weight: HeldConstant }[] {
  const weights: { input: WeightInput; weight: HeldConstant }[] = [];
  for (const input of weightInputs(node)) {
    if (weights.length > 0 && input.suffix === undefined) break;
    const weight = holders.find(graph, node.inputs[input.index] ?? "");
    if (weight && isWeight(weight, input)) weights.push({ input, weight });
  }
  return weights;
}

/** Vectors are no weight matrices, and a table of integers is shape arithmetic. */
function isWeight(weight: HeldConstant, input: WeightInput): boolean {
  const { tensor } = weight.holder;
  // What small integers are rebuilt to is a matrix; integers that are looked up are shape arithmetic.
  if (weight.form === "derived" && !FLOATS.has(typeOf(weight))) return input.role !== "embedding";
  if (tensor.dims.length < 2) return false;
  return Boolean(input.quantized) || weight.form === "dequantized" || FLOATS.has(typeOf(weight));
}

function typeOf({ holder }: HeldConstant): number {
  return "values" in holder.tensor ? holder.tensor.values.dataType : holder.tensor.dataType;
}

function bytesOf({ holder }: HeldConstant): number {
  const { tensor } = holder;
  if (!("values" in tensor)) return tensorByteLength(tensor);
  return tensorByteLength(tensor.values) + tensorByteLength(tensor.indices);
}

function useOf(
  node: Node,
  graph: Graph,
  path: readonly string[],
  role: WeightInput,
  dims: readonly number[],
  shapes: Shapes,
): LayerUse {
  const around = nodeShapes(shapes, graph, node);
  const recurrent = role.role === "recurrent_input" || role.role === "recurrent_state";
  const x = around.inputs[0];
  const macs =
    role.role === "embedding" ? 0 : recurrent ? times(x?.[0], x?.[1], countOf(dims)) : nodeMacs(node, around);
  return { node, graph, path, input: role.index, geometry: geometryOf(node, role, dims, around), macs };
}

/** Dims of the weight as the node sees it: of a derived one not those of the stored numbers. */
function dimsInUse(weight: HeldConstant, seen: readonly Dim[] | undefined): readonly number[] {
  return weight.form === "derived" && isStatic(seen ?? null)
    ? (seen as readonly number[])
    : weight.holder.tensor.dims;
}

function layerOf({ weight, role, dims, uses }: Found, unique: (stem: string) => string, model: Model): Layer {
  const [first] = uses as [LayerUse];
  const stem = first.node.name || weight.name || first.node.outputs[0] || first.node.opType;
  return {
    name: unique(`${stem}${role.suffix ?? ""}`),
    op: first.node.opType,
    weight,
    dims,
    dataType: typeOf(weight),
    parameters: elementCount(dims),
    bytes: bytesOf(weight),
    macs: uses.reduce<number | null>(
      (sum, use) => (sum === null || use.macs === null ? null : sum + use.macs),
      0,
    ),
    uses,
    fixed: reasonFixed(weight, role, model),
  };
}

function reasonFixed(weight: HeldConstant, role: WeightInput, model: Model): string | null {
  if (role.quantized || weight.form === "dequantized") return "its weight is quantized already";
  if (weight.form === "derived") return "its weight is computed from constants that are not folded yet";
  const { holder, graph, name } = weight;
  const numbers = "values" in holder.tensor ? holder.tensor.values : holder.tensor;
  if (graph.outputs.some((output) => output.name === name)) return "its weight is an output of the graph";
  if (numbers.data.kind === "external" && !numbers.data.span) {
    return "its weight is in an external file that did not come with the model";
  }
  if (model.irVersion >= 4 && graph.inputs.some((input) => input.name === name)) {
    return "its weight is an input of the model that callers may replace";
  }
  return null;
}

/** Answers each stem with a name that it has not given before. */
function uniqueNames(): (stem: string) => string {
  const taken = new Set<string>();
  return (stem) => {
    let name = stem;
    for (let i = 2; taken.has(name); i++) name = `${stem}#${i}`;
    taken.add(name);
    return name;
  };
}
