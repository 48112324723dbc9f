import { freshNames, withAttributes } from "../../onnx/edit.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import { readTensor } from "../../onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../onnx/tensor-value.ts";
import { modelSize } from "../../onnx/write.ts";
import { computedValue, memoryBudget } from "./derived.ts";
import { type Fact, isStandard, type Pass, type Rewriting } from "./pass.ts";
import { chains } from "./passes/chains.ts";
import { commonSubexpressions } from "./passes/common.ts";
import { concatFill } from "./passes/concat-fill.ts";
import { constantNodes } from "./passes/constants.ts";
import { deadNodes, optionalEnds, unusedInitializers } from "./passes/dead.ts";
import { deduplicate } from "./passes/deduplicate.ts";
import { foldConstants, foldShapes } from "./passes/fold.ts";
import { foldIntoNext } from "./passes/fold-into-next.ts";
import { foldAffineMaps } from "./passes/fuse.ts";
import { matmulAdd, transposeGemm } from "./passes/gemm.ts";
import { hardSigmoid } from "./passes/hard-sigmoid.ts";
import { inlineIf } from "./passes/inline-if.ts";
import { noOps } from "./passes/no-ops.ts";
import { foldPads } from "./passes/pad.ts";
import { reshapeTargets } from "./passes/reshape-targets.ts";
import { scatterRows } from "./passes/scatter-rows.ts";
import { zeroStates } from "./passes/zero-state.ts";
import { Scope } from "./scope.ts";
import { stripped } from "./strip.ts";

/** The passes, in the order in which each round runs them. */
export const PASSES: readonly Pass[] = [
  constantNodes,
  foldShapes,
  inlineIf,
  foldConstants,
  reshapeTargets,
  noOps,
  chains,
  zeroStates,
  concatFill,
  foldPads,
  hardSigmoid,
  scatterRows,
  matmulAdd,
  transposeGemm,
  foldAffineMaps,
  foldIntoNext,
  commonSubexpressions,
  optionalEnds,
  deadNodes,
  unusedInitializers,
  deduplicate,
];

/** Rounds stop when one of them changes nothing, and here in any case. */
const MAX_ROUNDS = 16;

export interface Simplified {
  readonly model: Model;
  /** Changes each pass made, over all rounds; passes that changed nothing are left out. */
  readonly passes: readonly { readonly pass: string; readonly changes: number }[];
  /** Whether no pass but exact ones has changed anything. */
  readonly exact: boolean;
}

/**
 * The model with what its outputs do not need taken out or computed beforehand: see {@link PASSES}. Outputs stay
 * equal to within 1e-5 relative; inputs and outputs keep names, order and types; it is never larger than before.
 *
 * Rewrites the main graph and the bodies of If, Loop and Scan, never the bodies of model-local functions. An
 * initializer that is also a graph input can be given by the caller and is no constant; before IR version 4, where
 * every initializer had to be listed as an input, it is one, and the result is of version 4.
 *
 * @throws ModelError when a tensor that has to be read is broken or missing.
 */
export async function simplify(model: Model): Promise<Simplified> {
  const counts = new Map<string, number>();
  let current = stripped(asVersion4(model));
  const opset =
    current.opsetImports.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0;
  const passes = PASSES.filter(({ opsets: [first, last] }) => opset >= first && opset <= last);
  const declined = new Set<string>();
  const keep = memoryBudget();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const rewriting: Rewriting = {
      opset,
      declined,
      keep,
      fresh: freshNames(current),
      fact: await factsOf(current),
      read: reader(),
    };
    const scope = new Scope(current.graph, null, "");
    let changed = false;
    for (const pass of passes) {
      const changes = await runPass(pass, scope, rewriting);
      if (changes === 0) continue;
      changed = true;
      counts.set(pass.name, (counts.get(pass.name) ?? 0) + changes);
    }
    if (!changed) break;
    current = { ...current, graph: scope.toGraph() };
  }
  if (modelSize(current) > modelSize(model)) return { model, passes: [], exact: true };
  return {
    model: current,
    passes: Array.from(counts, ([pass, changes]) => ({ pass, changes })),
    exact: passes.every(({ name, exact }) => exact || !counts.has(name)),
  };
}

/** Runs a pass on a graph, its subgraphs first. */
async function runPass(pass: Pass, scope: Scope, rewriting: Rewriting): Promise<number> {
  let changes = 0;
  for (const [index, node] of scope.nodesWithBodies()) {
    if (!hasBodies(node)) continue;
    for (const { name, value } of node.attributes) {
      if (value.type !== "graph") continue;
      const body = scope.body(value.value, bodyPath(scope.path, node, name));
      const inner = await runPass(pass, body, rewriting);
      if (inner === 0) continue;
      changes += inner;
      const graph = body.toGraph();
      scope.keepBody(graph, body);
      scope.replace(index, withAttributes(scope.node(index)!, { [name]: { type: "graph", value: graph } }));
    }
  }
  if (pass.operators && !scope.hasAny(pass.operators)) return changes;
  return changes + (await pass.run(scope, rewriting));
}

function hasBodies(node: Node): boolean {
  return isStandard(node, "If", "Loop", "Scan");
}

function bodyPath(path: string, node: Node, attribute: string): string {
  return `${path}/${node.outputs.find((name) => name !== "")}.${attribute}`;
}

/**
 * Types and shapes of the model's values. Declared shapes of outputs and inner values are not used: exporters get
 * them wrong, and runtimes do not enforce them.
 */
async function factsOf(model: Model): Promise<Rewriting["fact"]> {
  const graph = withoutDeclarations(model.graph);
  const shapes = await inferShapes({ ...model, graph });
  const graphs = new Map<string, Graph>();
  collect(graph, "", graphs);
  return (scope, name): Fact | undefined => {
    // A constant may have been written over since.
    const constant = scope.constant(name);
    if (constant) return { dataType: constant.dataType, dims: constant.dims };
    for (let at: Scope | null = scope; at; at = at.parent) {
      const own = graphs.get(at.path);
      const fact = own && shapes.fact(own, name);
      if (fact) return fact.kind === "tensor" ? fact : undefined;
      if (at.defines(name)) return undefined;
    }
    return undefined;
  };
}

function withoutDeclarations(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) => {
    if (!node.attributes.some(({ value }) => value.type === "graph")) return node;
    const attributes = node.attributes.map((attribute) =>
      attribute.value.type === "graph"
        ? {
            ...attribute,
            value: { type: "graph" as const, value: withoutDeclarations(attribute.value.value) },
          }
        : attribute,
    );
    return { ...node, attributes };
  });
  const outputs = graph.outputs.map(({ name }): ValueInfo => ({ name }));
  return { ...graph, nodes, outputs, valueInfo: [] };
}

function collect(graph: Graph, path: string, graphs: Map<string, Graph>): void {
  graphs.set(path, graph);
  for (const node of graph.nodes) {
    for (const { name, value } of node.attributes) {
      if (value.type === "graph") collect(value.value, bodyPath(path, node, name), graphs);
    }
  }
}

/** Reads constants, and has the last large one still at hand: the slices of one weight follow each other. */
function reader(): Rewriting["read"] {
  let last: { tensor: Tensor; value: TensorValue } | null = null;
  return async (tensor, maxElements = 1 << 20) => {
    if (elementCount(tensor.dims) > maxElements) return null;
    if (tensor.data.kind === "external" && tensor.data.span === null) return null;
    if (last?.tensor === tensor) return last.value;
    const value = (await computedValue(tensor)) ?? (await readTensor(tensor));
    const { length } = value.data;
    if (length >= MIN_HELD_ELEMENTS && length <= MAX_HELD_ELEMENTS) last = { tensor, value };
    return value;
  };
}

const MIN_HELD_ELEMENTS = 1024;
const MAX_HELD_ELEMENTS = 1 << 20;

/** Before IR version 4 initializers were listed among the inputs although nobody could set them. */
function asVersion4(model: Model): Model {
  if (model.irVersion >= 4) return model;
  const initialized = new Set(model.graph.initializers.map((tensor) => tensor.name));
  const inputs = model.graph.inputs.filter((input) => !initialized.has(input.name));
  return { ...model, irVersion: 4, graph: { ...model.graph, inputs } };
}
