import { bitsPerElement, DataType } from "../onnx/data-type.ts";
import type { Dim, Graph, Model, Node } from "../onnx/model.ts";
import type { NodeShapes } from "../onnx/operators/node-shapes.ts";
import type { Shapes } from "../onnx/shapes/shapes.ts";
import type { NetworkNode } from "./graph.ts";

/** Free sizes of a model's inputs get these where nobody says otherwise: pixels of an image, steps of a sequence. */
const PIXELS = 224;
const STEPS = 128;

/** The model's inputs proper: what is fed, not what has a default. */
function fedInputs({ graph }: Model) {
  const constants = new Set(graph.initializers.map(({ name }) => name));
  return graph.inputs.filter(({ name }) => !constants.has(name));
}

/** The batch axis: the first axis of the first input that has one. null where no input has any. */
export function batchAxis(model: Model): { readonly input: string; readonly dim: Dim } | null {
  for (const { name, type } of fedInputs(model)) {
    if (type?.kind === "tensor" && type.shape && type.shape.length > 0) {
      return { input: name, dim: type.shape[0] as Dim };
    }
  }
  return null;
}

/** Sizes for every free dimension of the inputs, by symbol; a declared size stays. */
export function inputShapesFor(model: Model, batch: number): Record<string, number[]> {
  const axis = batchAxis(model);
  const bound = new Map<string, number>();
  if (typeof axis?.dim === "string") bound.set(axis.dim, batch);
  const shapes: Record<string, number[]> = {};
  for (const { name, type } of fedInputs(model)) {
    if (type?.kind !== "tensor" || !type.shape) continue;
    const { shape } = type;
    shapes[name] = shape.map((dim, i) => {
      if (typeof dim === "number") return dim;
      const assumed = i === 0 ? batch : shape.length >= 4 && i >= 2 ? PIXELS : STEPS;
      if (dim === null) return assumed;
      const size = bound.get(dim) ?? assumed;
      bound.set(dim, size);
      return size;
    });
  }
  return shapes;
}

/** Reads sizes out of inferred shapes for a wanted batch. */
export interface Sizes {
  /** Samples that the network is counted for. */
  readonly batch: number;
  /** What one activation of the inferred shapes has to be multiplied by. */
  readonly factor: number;
  dims(graph: Graph, name: string): readonly (number | null)[] | undefined;
  /** Elements for the whole batch; where sizes are unknown they count as one and `guessed` is true. */
  elements(graph: Graph, name: string): { readonly count: number; readonly guessed: boolean };
  nodeShapes(graph: Graph, node: Node): NodeShapes;
  dataType(graph: Graph, name: string): number;
}

export function sizesOf(model: Model, shapes: Shapes, batch: number | undefined): Sizes {
  const axis = batchAxis(model);
  const inferred = axis ? shapes.of(model.graph, axis.input)?.dims[0] : undefined;
  const fixed = typeof inferred === "number" && inferred > 0 ? inferred : null;
  const wanted = batch ?? fixed ?? 1;
  const symbol = typeof inferred === "string" ? inferred : null;
  const resolve = (dim: Dim): number | null =>
    typeof dim === "number" ? dim : symbol !== null && dim === symbol ? wanted : null;
  const dims = (graph: Graph, name: string) => shapes.of(graph, name)?.dims.map(resolve);
  const factor = fixed === null ? 1 : wanted / fixed;
  return {
    batch: wanted,
    factor,
    dims,
    elements(graph, name) {
      const known = dims(graph, name);
      if (!known) return { count: wanted, guessed: true };
      let count = factor;
      for (const dim of known) count *= dim ?? 1;
      return { count, guessed: known.includes(null) };
    },
    nodeShapes(graph, node) {
      const look = (name: string) => (name === "" ? undefined : dims(graph, name));
      return { inputs: node.inputs.map(look), outputs: node.outputs.map(look) };
    },
    dataType: (graph, name) => shapes.of(graph, name)?.dataType ?? DataType.UNDEFINED,
  };
}

const PRECISIONS: Readonly<Record<number, NetworkNode["precision"]>> = {
  [DataType.FLOAT]: "fp32",
  [DataType.DOUBLE]: "fp64",
  [DataType.FLOAT16]: "fp16",
  [DataType.BFLOAT16]: "bf16",
  [DataType.INT8]: "int8",
  [DataType.UINT8]: "int8",
};

/** Arithmetic of a tensor's type; float32 where it is not known. */
function precisionOf(dataType: number): NetworkNode["precision"] {
  return PRECISIONS[dataType] ?? "fp32";
}

/** Operators that round their inputs to integers before they multiply, whatever the type of those. */
const INTEGER_PRODUCTS: ReadonlySet<string> = new Set(["DynamicQuantizeLSTM", "DynamicQuantizeMatMul"]);

/** Arithmetic of an operator on data of a type. */
export function arithmeticOf({ opType }: Node, dataType: number): NetworkNode["precision"] {
  return INTEGER_PRODUCTS.has(opType) ? "int8" : precisionOf(dataType);
}

/** Bytes of one element; those of float32 where the type is not known. */
export function elementBytesOf(dataType: number): number {
  return (bitsPerElement(dataType) ?? 32) / 8;
}

/** Indices, sizes and masks steer a computation; they are no activations and are not counted. */
export function isControl(dataType: number): boolean {
  return CONTROL.has(dataType);
}

const CONTROL: ReadonlySet<number> = new Set([
  DataType.INT64,
  DataType.BOOL,
  DataType.UINT64,
  DataType.UINT32,
  DataType.STRING,
]);

/** Channels of an activation: the second axis of maps, the last of everything else. */
export function channelsOf(dims: readonly (number | null)[] | undefined): number {
  const channels = dims && dims.length >= 4 ? dims[1] : dims?.at(-1);
  return Math.max(1, channels ?? 1);
}
