import { tensorAttribute } from "../../onnx/edit.ts";
import type { Model, Node, Tensor, ValueInfo } from "../../onnx/model.ts";
import type { Range } from "./cut.ts";
import type { RuntimeShapes } from "./runtime-shapes.ts";
import type { TableRows } from "./table-rows.ts";
import type { WorkGraph } from "./work-graph.ts";

/** A part of a model as a model of its own. */
export interface Segment {
  readonly model: Model;
  /** Names of what it reads: inputs of the whole model, and outputs of segments before it. */
  readonly inputs: readonly string[];
  /** Names of what is read after it; none where nobody needs it. */
  readonly outputs: readonly string[];
  /** What it does, where that is not left to the runtime. */
  readonly rows: TableRows | null;
}

export interface SegmentParts {
  readonly model: Model;
  readonly graph: WorkGraph;
  readonly shapes: RuntimeShapes;
}

/**
 * Nodes of a work graph as a model, with the constants that they need. What a Constant node holds becomes an
 * initializer, as in the runtime itself.
 *
 * @param outputs what it is to give: values that its nodes make, and constants
 * @param reads values and constants that are to be in it beside those that its nodes read
 */
export function segmentOf(
  { model, graph, shapes }: SegmentParts,
  { from, to }: Range,
  outputs: readonly string[],
  reads: readonly string[],
): Segment {
  const { values, constants } = graph;
  const needed = new Set<string>();
  const inputs = new Set<string>();
  const taken = new Map<number, Node>();
  const read = (name: string) => {
    const value = values.get(name);
    if (value === undefined) constants.closure(name, needed);
    else if (value.producer < from) inputs.add(name);
  };
  for (const { node, index, reads: own, constants: held } of graph.nodes.slice(from, to)) {
    for (const name of held) needed.add(name);
    own.forEach(read);
    taken.set(index, node);
  }
  for (const name of [...outputs, ...reads]) read(name);
  const nodes: Node[] = [];
  const held: Tensor[] = [];
  for (const [index, node] of model.graph.nodes.entries()) {
    if (taken.has(index)) nodes.push(node);
    else if (node.outputs.some((name) => needed.has(name))) {
      const value = node.opType === "Constant" ? tensorAttribute(node, "value") : undefined;
      if (value) held.push({ ...value, name: node.outputs[0]! });
      else nodes.push(node);
    }
  }
  const { irVersion, opsetImports, functions } = model;
  const { name, initializers, sparseInitializers } = model.graph;
  return {
    inputs: [...inputs],
    outputs,
    rows: null,
    model: {
      irVersion,
      opsetImports,
      functions,
      metadata: [],
      graph: {
        name,
        nodes,
        initializers: [...initializers.filter((tensor) => needed.has(tensor.name)), ...held],
        sparseInitializers: sparseInitializers.filter((sparse) => needed.has(sparse.values.name)),
        inputs: [...inputs].map((input) => infoOf(input, model, shapes)),
        outputs: outputs.map((output) => infoOf(output, model, shapes)),
        valueInfo: [],
      },
    },
  };
}

/** As the model declares it, or else as it is inferred. */
function infoOf(name: string, { graph }: Model, shapes: RuntimeShapes): ValueInfo {
  const own = [...graph.inputs, ...graph.outputs].find((info) => info.name === name);
  if (own) return own;
  const info = shapes.of(name);
  return { name, type: { kind: "tensor", dataType: info?.dataType ?? 0, ...(info && { shape: info.dims }) } };
}
