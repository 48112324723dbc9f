import { mapGraphs, subgraphsOf, walkGraphs } from "./edit.ts";
import { ModelError, type ModelErrorCode } from "./errors.ts";
import type { Graph, Model, Node } from "./model.ts";
import { Captures, definedNames, orderedNodes, standardOpset } from "./scope.ts";
import { readPositions } from "./sparse.ts";
import { checkSparseTensor, checkTensor } from "./tensor-layout.ts";

/** Opsets of the standard domain that onnxruntime-web 1.30 runs and Hone accepts. */
export const OPSETS = { oldest: 7, newest: 26 } as const;
/** IR versions that onnxruntime-web 1.30 loads. */
export const IR_VERSIONS = { oldest: 1, newest: 13 } as const;

/**
 * Checks what the encoding alone does not say: versions, names, order and shapes against bytes, in the graph and
 * its subgraphs. Unknown operators are no error. Nodes may stand in any order, as in ONNX Runtime; {@link inOrder}
 * sorts them. Reads no tensor payload; {@link validateSparseTensors} reads the indices of sparse ones.
 * @throws ModelError with one code a cause.
 */
export function validateModel(model: Model): void {
  validateVersions(model);
  validateGraph(model.graph, null, new Captures());
  for (const { nodes } of model.functions) for (const node of nodes) validateAttributeTensors(node);
}

/**
 * @throws ModelError `invalid_sparse_tensor` when indices are outside the shape or not ascending.
 */
export async function validateSparseTensors(model: Model): Promise<void> {
  for (const { graph } of walkGraphs(model.graph)) {
    for (const sparse of graph.sparseInitializers) await readPositions(sparse);
    for (const node of graph.nodes) {
      for (const { value } of node.attributes) {
        if (value.type === "sparse_tensor") await readPositions(value.value);
      }
    }
  }
}

/** The model with the nodes of every graph in topological order; the model itself when they are already. */
export function inOrder(model: Model): Model {
  const captures = new Captures();
  const graph = mapGraphs(model.graph, (one) => {
    const nodes = orderedNodes(one, captures);
    return nodes === one.nodes ? one : { ...one, nodes };
  });
  return graph === model.graph ? model : { ...model, graph };
}

function validateVersions(model: Model): void {
  const { irVersion } = model;
  if (irVersion < IR_VERSIONS.oldest || irVersion > IR_VERSIONS.newest) {
    throw new ModelError(
      "unsupported_ir_version",
      `the model states IR version ${irVersion}; Hone takes ${IR_VERSIONS.oldest} to ${IR_VERSIONS.newest}, export it again with a matching onnx package`,
    );
  }
  const opset = standardOpset(model);
  if (opset === undefined) {
    if (model.opsetImports.length === 0 || usesStandardDomain(model)) {
      throw new ModelError(
        "missing_opset",
        "the model uses operators of ai.onnx without importing an opset of it; export the model again",
      );
    }
  } else if (opset < OPSETS.oldest || opset > OPSETS.newest) {
    throw new ModelError(
      "unsupported_opset",
      `the model uses opset ${opset}; Hone takes ${OPSETS.oldest} to ${OPSETS.newest}, convert it with onnx.version_converter or export it again`,
    );
  }
}

function usesStandardDomain(model: Model): boolean {
  for (const { graph } of walkGraphs(model.graph)) {
    if (graph.nodes.some(({ domain }) => domain === "" || domain === "ai.onnx")) return true;
  }
  return false;
}

/** The graphs around a subgraph, innermost first. */
interface Scope {
  readonly names: ReadonlySet<string>;
  /** What stands before the node whose subgraph is looked at: names that the subgraph must not make again. */
  readonly before: Set<string>;
  readonly around: Scope | null;
}

function validateGraph(graph: Graph, around: Scope | null, captures: Captures): void {
  validateNames(graph);
  for (const tensor of graph.initializers) checkTensor(tensor);
  for (const sparse of graph.sparseInitializers) checkSparseTensor(sparse);
  const names = definedNames(graph);
  const before = new Set(names);
  for (const node of graph.nodes) for (const output of node.outputs) before.delete(output);
  const scope: Scope = { names, before, around };
  for (const node of graph.nodes) {
    for (const output of node.outputs) {
      if (output !== "" && shadows(output, around)) {
        throw new ModelError(
          "duplicate_value",
          `the subgraph "${graph.name}" makes "${output}" again, which a graph around it has already; names have to be unique, rename one`,
        );
      }
    }
    for (const input of node.inputs) {
      if (input !== "" && !visible(input, scope)) {
        throw new ModelError(
          "dangling_input",
          `the ${node.opType} node that makes "${node.outputs[0] ?? node.name}" takes "${input}", which nothing in the model makes; export the model again`,
        );
      }
    }
    validateAttributeTensors(node);
    for (const inner of subgraphsOf(node)) validateGraph(inner.graph, scope, captures);
    for (const output of node.outputs) before.add(output);
  }
  for (const { name } of graph.outputs) {
    if (!scope.names.has(name)) {
      throw new ModelError(
        "dangling_output",
        `the ${around === null ? "graph" : `subgraph "${graph.name}"`} has the output "${name}", which nothing in it makes; export the model again`,
      );
    }
  }
  orderedNodes(graph, captures);
}

function shadows(name: string, around: Scope | null): boolean {
  for (let one = around; one !== null; one = one.around) if (one.before.has(name)) return true;
  return false;
}

function visible(name: string, scope: Scope): boolean {
  for (let one: Scope | null = scope; one !== null; one = one.around) if (one.names.has(name)) return true;
  return false;
}

/** A graph gives every name once; only an input may have an initializer, as its default. */
function validateNames(graph: Graph): void {
  const tensors = new Set<string>();
  const tensorNames = [
    ...graph.initializers.map(({ name }) => name),
    ...graph.sparseInitializers.map(({ values }) => values.name),
  ];
  unique(tensorNames, tensors, "duplicate_tensor", "initializers");
  const values = new Set<string>();
  unique(
    graph.inputs.map(({ name }) => name),
    values,
    "duplicate_value",
    "graph inputs",
  );
  for (const name of tensors) values.add(name);
  unique(
    graph.nodes.flatMap(({ outputs }) => outputs),
    values,
    "duplicate_value",
    "values",
  );
  unique(
    graph.nodes.map(({ name }) => name),
    new Set(),
    "duplicate_node",
    "nodes",
  );
}

function unique(names: readonly string[], seen: Set<string>, code: ModelErrorCode, what: string): void {
  for (const name of names) {
    if (name === "") continue;
    if (seen.has(name)) {
      throw new ModelError(code, `two ${what} have the name "${name}"; names have to be unique, rename one`);
    }
    seen.add(name);
  }
}

function validateAttributeTensors(node: Node): void {
  for (const { value } of node.attributes) {
    if (value.type === "tensor") checkTensor(value.value);
    else if (value.type === "tensors") for (const tensor of value.value) checkTensor(tensor);
    else if (value.type === "sparse_tensor") checkSparseTensor(value.value);
  }
}
