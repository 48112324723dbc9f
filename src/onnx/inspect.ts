import type { ModelSummary } from "../../schemas/resources.ts";
import { bitsPerElement, DataType, dataTypeName } from "./data-type.ts";
import { walkGraphs } from "./edit.ts";
import { fedInputs } from "./inputs.ts";
import { listLayers } from "./layers.ts";
import {
  type Model,
  ORIGIN,
  type SparseTensor,
  type Tensor,
  type ValueInfo,
  type ValueType,
} from "./model.ts";
import { isKnownOperator, operatorName } from "./operators/known.ts";
import { modelMacs } from "./operators/totals.ts";
import { standardOpset } from "./scope.ts";
import { inferDefaultShapes } from "./shapes/defaults.ts";
import { tensorByteLength } from "./tensor.ts";
import { elementCount } from "./tensor-value.ts";
import { modelSize } from "./write.ts";

/**
 * What a look at the skeleton tells. Multiply-accumulates are those of one sample with usual sizes in the place of
 * open dimensions (see inferDefaultShapes); parameters are the numbers of all weights (floating-point or of at
 * most 8 bits) that have a dimension, biases and normalisation included; nodes and operators include subgraphs.
 */
export async function inspectModel(model: Model): Promise<ModelSummary> {
  const { shapes } = await inferDefaultShapes(model);
  const tensors = [...storedTensors(model)];
  const operators = new Map<string, number>();
  const unknown = new Set<string>();
  let nodes = 0;
  for (const { graph } of walkGraphs(model.graph)) {
    nodes += graph.nodes.length;
    for (const node of graph.nodes) {
      const name = operatorName(node);
      operators.set(name, (operators.get(name) ?? 0) + 1);
      if (!isKnownOperator(node, model.functions)) unknown.add(name);
    }
  }
  return {
    ir_version: model.irVersion,
    opset: standardOpset(model) ?? 0,
    opsets: model.opsetImports.map(({ domain, version }) => ({ domain, version })),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(" ") || null,
    nodes,
    inputs: fedInputs(model).map(specOf),
    outputs: model.graph.outputs.map((output) => {
      const found = shapes.of(model.graph, output.name);
      // What inference adds to an output without a declared shape depends on the sizes that it assumed.
      return output.type || !found
        ? specOf(output)
        : { ...specOf(output), type: dataTypeName(found.dataType) };
    }),
    parameters: tensors.reduce((sum, tensor) => sum + parametersOf(tensor), 0),
    bytes: bytesOf(model, tensors),
    macs: modelMacs(model, shapes),
    layers: listLayers(model, shapes).map((layer) => ({
      name: layer.name,
      op: layer.op,
      weight: layer.weight.name,
      shape: [...layer.dims],
      parameters: layer.parameters,
      bytes: layer.bytes,
      macs: layer.macs,
    })),
    operators: Object.fromEntries([...operators].sort(([a], [b]) => (a < b ? -1 : 1))),
    unknown_operators: [...unknown].sort(),
  };
}

function specOf({ name, type }: ValueInfo): ModelSummary["inputs"][number] {
  const shape = type?.kind === "tensor" || type?.kind === "sparse_tensor" ? type.shape : undefined;
  return { name, type: typeName(type), shape: shape ? [...shape] : null };
}

function typeName(type: ValueType | undefined): string {
  switch (type?.kind) {
    case "tensor":
      return dataTypeName(type.dataType);
    case "sparse_tensor":
      return `sparse(${dataTypeName(type.dataType)})`;
    case "sequence":
    case "optional":
      return `${type.kind}(${typeName(type.element)})`;
    case "map":
      return `map(${dataTypeName(type.keyType)}, ${typeName(type.value)})`;
    default:
      return "unknown";
  }
}

/** Initializers and the values of Constant nodes, of the graph and its subgraphs. */
function* storedTensors(model: Model): Generator<Tensor | SparseTensor> {
  for (const { graph } of walkGraphs(model.graph)) {
    yield* graph.initializers;
    yield* graph.sparseInitializers;
    for (const node of graph.nodes) {
      if (node.opType !== "Constant") continue;
      for (const { value } of node.attributes) {
        if (value.type === "tensor" || value.type === "sparse_tensor") yield value.value;
      }
    }
  }
}

const FLOATS: ReadonlySet<number> = new Set([
  DataType.FLOAT,
  DataType.FLOAT16,
  DataType.BFLOAT16,
  DataType.DOUBLE,
]);

/** Scalars and wide integers are settings and shapes, not parameters. */
function parametersOf(tensor: Tensor | SparseTensor): number {
  const dataType = "values" in tensor ? tensor.values.dataType : tensor.dataType;
  const small = dataType !== DataType.BOOL && (bitsPerElement(dataType) ?? 64) <= 8;
  return tensor.dims.length > 0 && (small || FLOATS.has(dataType)) ? elementCount(tensor.dims) : 0;
}

/** Bytes of the model as one file; of its tensors alone where external data is missing. */
function bytesOf(model: Model, tensors: readonly (Tensor | SparseTensor)[]): number {
  const origin = model[ORIGIN];
  if (origin) return origin.length;
  const dense = tensors.flatMap((tensor) =>
    "values" in tensor ? [tensor.values, tensor.indices] : [tensor],
  );
  const payload = dense.reduce((sum, tensor) => sum + tensorByteLength(tensor), 0);
  const whole = dense.every(({ data }) => data.kind !== "external" || data.span !== null);
  return whole ? modelSize(model) : payload;
}
