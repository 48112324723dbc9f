import type { PartitionType, Plan } from "../../../schemas/plan.ts";
import { intAttribute, walkGraphs } from "../../onnx/edit.ts";
import type { Graph, Model, Node } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import { layerPart } from "../execution/layer-part.ts";
import type { LayerNode, Part } from "../execution/part.ts";
import { type Interval, type Portion, type Work, workOf } from "../execution/work.ts";
import type { NetworkNode } from "../graph.ts";
import { type Layout, TYPE_NAMES, type TypeIndex, type Way } from "../layout.ts";
import { tracedNetwork } from "../network.ts";
import { inputShapesFor } from "../tensors.ts";

/** What a plan does to the tensors of the model, in the words that the exports share. */
export interface Sharding {
  readonly plan: Plan;
  readonly work: Work;
  readonly layers: readonly ShardedLayer[];
}

export interface ShardedLayer {
  readonly name: string;
  readonly node: Node;
  readonly types: readonly PartitionType[];
  readonly ways: NetworkNode["ways"];
  readonly portions: readonly Portion[];
  readonly tensors: readonly ShardedTensor[];
}

export interface ShardedTensor {
  /** Of the value in the model; several layers can share one. */
  readonly name: string;
  readonly role: "input" | "weight" | "bias" | "output";
  readonly rank: number;
  /** The axis that holds a dimension of the layer; null where it cannot be cut along it. */
  readonly axes: Readonly<Record<Dimension, number | null>>;
}

/** The layer's three dimensions, which types I, II and III divide. */
export const DIMENSIONS = ["samples", "input", "output"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

const ALL: Interval = { from: 0, to: 1 };
const HALF: Interval = { from: 0, to: 0.5 };
const WHOLE: Portion = { samples: ALL, input: ALL, output: ALL };

/**
 * The tensors of every planned layer and join, and the axes along which the plan's types cut them.
 * @throws ExecutionError where the plan is not one of this model
 */
export async function shardingOf(plan: Plan, model: Model): Promise<Sharding> {
  const { network, origins } = await tracedNetwork(model, plan.batch);
  const work = workOf(plan, network);
  const shapes = await inferShapes(model, { inputShapes: inputShapesFor(model, plan.batch) });
  const home = new Map<Node, Graph>();
  for (const { graph } of walkGraphs(model.graph)) for (const node of graph.nodes) home.set(node, graph);
  const constants = new Constants(model.graph);
  const planned = new Map(plan.layers.map((layer) => [layer.name, layer]));
  return {
    plan,
    work,
    layers: network.nodes.map((own, v): ShardedLayer => {
      const node = origins[v] as Node;
      const graph = home.get(node) as Graph;
      const dimsOf = (name: string) => {
        const dims = shapes.of(graph, name)?.dims;
        return dims?.every((dim) => typeof dim === "number") ? dims : null;
      };
      const layer: LayerNode = { node, dimsOf, isConstant: (name) => constants.has(name) };
      return {
        name: own.name,
        node,
        types: planned.get(own.name)?.type ?? [],
        ways: own.ways,
        portions: work.portions.get(own.name) ?? [],
        tensors: own.kind === "join" ? joinedTensors(layer) : layerTensors(layer),
      };
    }),
  };
}

/** Which type a level gives a layer. */
export function typeAt(layer: ShardedLayer, level: number): TypeIndex {
  return TYPE_NAMES.indexOf(layer.types[level] ?? "I") as TypeIndex;
}

/** The axis along which a type cuts a tensor of a layer; null where every device has it whole. */
export function axisCut(layer: ShardedLayer, tensor: ShardedTensor, type: TypeIndex): number | null {
  const way = layer.ways[type];
  const dimension = way && dimensionCut(way, tensor.role, type);
  return dimension ? tensor.axes[dimension] : null;
}

function dimensionCut(way: Way, role: ShardedTensor["role"], type: TypeIndex): Dimension | null {
  if (role === "weight" || role === "bias") {
    if (!way.splitsWeights) return null;
    return type === 1 ? "input" : "output";
  }
  const [splits, layout] = role === "input" ? [way.splitsInput, way.input] : [way.splitsOutput, way.output];
  return splits ? cutBy(layout, role) : null;
}

function cutBy(layout: Layout, role: "input" | "output"): Dimension | null {
  if (layout === "R") return null;
  return layout === "B" ? "samples" : role;
}

/** By cutting the layer in two along each dimension and looking at which axes get shorter. */
function layerTensors(layer: LayerNode): ShardedTensor[] {
  const { node, dimsOf, isConstant } = layer;
  const whole = layerPart(layer, WHOLE);
  const [x] = node.inputs.map((name, slot) => ({ name, slot })).filter(({ name }) => !isConstant(name));
  if (whole === null) return wholeTensors(layer);
  const cut = {
    input: layerPart(layer, { ...WHOLE, input: HALF }),
    output: layerPart(layer, { ...WHOLE, output: HALF }),
  };
  const axisOf = (
    dimension: "input" | "output",
    box: (part: Part) => Part["outputs"][number] | undefined,
  ) => {
    const part = cut[dimension];
    const [own, half] = [box(whole), part ? box(part) : undefined];
    if (!own || !half) return null;
    const axis = own.findIndex((range, at) => range.to !== half[at]?.to);
    return axis < 0 ? null : axis;
  };
  const reads = whole.reads.map(({ name, slot }): ShardedTensor => {
    const read = (part: Part) => part.reads.find((other) => other.slot === slot)?.box;
    const role = slot === x?.slot ? "input" : slot === 2 ? "bias" : "weight";
    return {
      name,
      role,
      rank: dimsOf(name)?.length ?? 0,
      axes: {
        samples: role === "input" ? 0 : null,
        input: axisOf("input", read),
        output: axisOf("output", read),
      },
    };
  });
  const made = node.outputs[0] ?? "";
  const output: ShardedTensor = {
    name: made,
    role: "output",
    rank: dimsOf(made)?.length ?? 0,
    axes: {
      samples: 0,
      input: null,
      output: axisOf("output", (part) => part.outputs[0]),
    },
  };
  return [...reads, output];
}

/** What cannot be cut by its channels is still cut by samples. */
function wholeTensors({ node, dimsOf, isConstant }: LayerNode): ShardedTensor[] {
  const named = (name: string, role: ShardedTensor["role"]): ShardedTensor => {
    const rank = dimsOf(name)?.length ?? 0;
    const samples = role === "weight" || rank === 0 ? null : samplesAxis(node, rank);
    return { name, role, rank, axes: { samples, input: null, output: null } };
  };
  return [
    ...distinct(node.inputs).map((name) => named(name, isConstant(name) ? "weight" : "input")),
    ...distinct(node.outputs).map((name) => named(name, "output")),
  ];
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => name !== "");
}

/** Operators where branches meet: channels are the second axis of maps, the last of everything else. */
function joinedTensors({ node, dimsOf, isConstant }: LayerNode): ShardedTensor[] {
  const named = (name: string, role: "input" | "output"): ShardedTensor => {
    const rank = dimsOf(name)?.length ?? 0;
    const channels = rank >= 4 ? 1 : rank > 1 ? rank - 1 : null;
    return { name, role, rank, axes: { samples: rank > 0 ? 0 : null, input: channels, output: channels } };
  };
  return [
    ...distinct(node.inputs)
      .filter((name) => !isConstant(name))
      .map((name) => named(name, "input")),
    ...distinct(node.outputs).map((name) => named(name, "output")),
  ];
}

/** Recurrent layers have steps, and directions, in front of the samples, unless their layout says otherwise. */
function samplesAxis(node: Node, rank: number): number {
  const recurrent = node.opType === "LSTM" || node.opType === "GRU" || node.opType === "RNN";
  return recurrent && intAttribute(node, "layout", 0) === 0 ? Math.max(0, rank - 2) : 0;
}

/** Layers that the plan divides by channels, and whose tensors cannot be cut so along one axis. */
export function undividedLayers({ layers }: Sharding): string[] {
  return layers
    .filter((layer) =>
      layer.types.some((_, level) => {
        const type = typeAt(layer, level);
        const divided = layer.ways[type]?.splitsWork ?? false;
        return divided && layer.tensors.every((tensor) => axisCut(layer, tensor, type) === null);
      }),
    )
    .map(({ name }) => name);
}

/** Values that no input reaches. */
class Constants {
  readonly #names = new Set<string>();

  constructor(root: Graph) {
    for (const { graph } of walkGraphs(root)) {
      for (const { name } of graph.initializers) this.#names.add(name);
      for (const { values } of graph.sparseInitializers) this.#names.add(values.name);
      for (const node of graph.nodes) {
        const made = node.inputs.every((name) => name === "" || this.#names.has(name));
        if (made && node.attributes.every(({ value }) => value.type !== "graph")) {
          for (const output of node.outputs) this.#names.add(output);
        }
      }
    }
  }

  has(name: string): boolean {
    return name === "" || this.#names.has(name);
  }
}
