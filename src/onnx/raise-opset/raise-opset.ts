import { freshNames, mapGraphs, walkGraphs } from "../edit.ts";
import type { Graph, Model, Node, Tensor } from "../model.ts";
import { standardOpset } from "../scope.ts";
import { inferShapes } from "../shapes/infer.ts";
import type { Shapes } from "../shapes/shapes.ts";
import { tensorOf } from "../tensor.ts";
import type { TensorArray } from "../tensor-value.ts";
import { type Raising, UnraisableOpsetError } from "./rule.ts";
import { OPSET_RULES } from "./rules.ts";
import { UNCHANGED } from "./unchanged.ts";

/** The newest opset that the rules know. */
export const NEWEST_RAISED_OPSET = 21;

/** IR versions in which the opsets came, which runtimes expect at least. */
const IR_VERSIONS: readonly (readonly [opset: number, irVersion: number])[] = [
  [8, 3],
  [9, 4],
  [10, 5],
  [11, 6],
  [12, 7],
  [15, 8],
  [19, 9],
  [21, 10],
];

const KNOWN: ReadonlySet<string> = new Set([
  ...UNCHANGED,
  ...OPSET_RULES.flatMap(({ operators }) => operators),
]);

/**
 * The model in a newer opset of the standard domain, computing the same: nodes whose operator changed its meaning are
 * rewritten, in subgraphs too. The model itself where it has the opset already. Operators of other domains stay.
 *
 * @param opset at most {@link NEWEST_RAISED_OPSET}
 * @throws UnraisableOpsetError naming the operator that cannot be raised
 */
export async function raiseOpset(model: Model, opset: number): Promise<Model> {
  const from = standardOpset(model);
  if (from === undefined || from >= opset) return model;
  if (opset > NEWEST_RAISED_OPSET) throw new RangeError(`opset ${opset} is newer than the rules`);
  const [definition] = model.functions;
  if (definition) throw new UnraisableOpsetError(definition.name, opset, "it is a function of the model");
  const shapes = await inferShapes(model);
  const graphs = new Map(
    [...walkGraphs(model.graph)].map(({ graph, path }) => [JSON.stringify(path), graph]),
  );
  const fresh = freshNames(model);
  const graph = mapGraphs(model.graph, (one, path) => {
    const original = graphs.get(JSON.stringify(path)) ?? one;
    return raisedGraph(one, original, shapes, from, opset, fresh);
  });
  const irVersion = IR_VERSIONS.reduce(
    (version, [since, needed]) => (opset >= since ? Math.max(version, needed) : version),
    model.irVersion,
  );
  return {
    ...model,
    irVersion,
    graph: model.irVersion < 4 ? freeInitializers(graph) : graph,
    opsetImports: model.opsetImports.map((one) =>
      one.domain === "" || one.domain === "ai.onnx" ? { ...one, version: opset } : one,
    ),
  };
}

/** Before IR version 4 initializers are inputs as well; from then on that would let callers replace them. */
function freeInitializers(graph: Graph): Graph {
  const stored = new Set([
    ...graph.initializers.map(({ name }) => name),
    ...graph.sparseInitializers.map(({ values }) => values.name),
  ]);
  return { ...graph, inputs: graph.inputs.filter(({ name }) => !stored.has(name)) };
}

function raisedGraph(
  graph: Graph,
  original: Graph,
  shapes: Shapes,
  from: number,
  opset: number,
  fresh: (stem: string) => string,
): Graph {
  const constants: Tensor[] = [];
  const added = new Map<string, TensorArray>();
  const nodes = graph.nodes.flatMap((node) => {
    if (node.domain !== "" && node.domain !== "ai.onnx") return [node];
    const refuse = (reason: string): never => {
      throw new UnraisableOpsetError(node.opType, opset, reason);
    };
    if (!KNOWN.has(node.opType)) refuse("it is not among those that are known to keep their meaning");
    return raisedNode(node, from, opset, {
      refuse,
      fresh: () => fresh(`${node.outputs[0]}_raised`),
      infoOf: (name) => shapes.of(original, name),
      elementsOf: (name) => {
        const own = added.get(name);
        return own ? [...own] : shapes.elementsOf(original, name);
      },
      constant(value) {
        const name = fresh(`${node.outputs[0]}_constant`);
        constants.push(tensorOf(name, value));
        added.set(name, value.data);
        return name;
      },
    });
  });
  if (constants.length === 0 && nodes.every((node, i) => node === graph.nodes[i])) return graph;
  return { ...graph, nodes, initializers: [...graph.initializers, ...constants] };
}

function raisedNode(node: Node, from: number, opset: number, raising: Raising): readonly Node[] {
  let nodes: readonly Node[] = [node];
  for (const rule of OPSET_RULES) {
    if (rule.at <= from || rule.at > opset) continue;
    nodes = nodes.flatMap((one) => (rule.operators.includes(one.opType) ? rule.raise(one, raising) : [one]));
  }
  return nodes;
}
