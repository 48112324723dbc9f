import { intAttribute } from "./edit.ts";
import type { Dim, Node } from "./model.ts";
import { countOf, type NodeShapes, times } from "./operators/node-shapes.ts";
import type { WeightInput } from "./operators/weight-roles.ts";
import { type Window, windowOf } from "./shapes/window.ts";

/** What a weight does in one use of it: enough for methods and planning without looking at the node again. */
export type LayerGeometry = ConvolutionGeometry | MatrixGeometry | RecurrentGeometry | EmbeddingGeometry;

/**
 * Conv: weight [outputChannels, inputChannels/groups, kernel…]. Transposed: [inputChannels, outputChannels/groups,
 * kernel…]. Depthwise where groups = inputChannels.
 */
export interface ConvolutionGeometry {
  readonly kind: "convolution";
  readonly transposed: boolean;
  readonly groups: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  /** Kernel, strides, dilations and padding, an entry a spatial axis. */
  readonly window: Window;
  readonly batch: number | null;
  /** Spatial sizes; null where not known. */
  readonly inputSize: readonly (number | null)[] | null;
  readonly outputSize: readonly (number | null)[] | null;
}

/** A product with a constant side: MatMul and Gemm. */
export interface MatrixGeometry {
  readonly kind: "matrix";
  /** True where the weight is the left factor, Y = W·X. */
  readonly left: boolean;
  /** Axes of the weight that it sums over and that come out; further axes are a batch of matrices. */
  readonly inputAxis: number;
  readonly outputAxis: number;
  readonly inputFeatures: number;
  readonly outputFeatures: number;
  /** Vectors multiplied in one run (for a batch of matrices, by each of them): batch, tokens, positions. */
  readonly rows: number | null;
}

/** W [directions, gates·hidden, input] or R [directions, gates·hidden, hidden] of LSTM, GRU and RNN. */
export interface RecurrentGeometry {
  readonly kind: "recurrent";
  readonly part: "W" | "R";
  readonly directions: number;
  /** LSTM 4 (i, o, f, c), GRU 3 (z, r, h), RNN 1. */
  readonly gates: number;
  readonly hidden: number;
  /** What the part sums over: the input size of W, the hidden size of R. */
  readonly inputFeatures: number;
  readonly steps: number | null;
  readonly batch: number | null;
}

/** A table from which Gather takes rows. */
export interface EmbeddingGeometry {
  readonly kind: "embedding";
  /** Axis of the table that the indices run along; rows are all the others. */
  readonly axis: number;
  readonly entries: number;
  readonly width: number;
  readonly lookups: number | null;
}

const GATES: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

export function geometryOf(
  node: Node,
  { role, index }: WeightInput,
  dims: readonly number[],
  shapes: NodeShapes,
): LayerGeometry {
  switch (role) {
    case "convolution":
    case "convolution_transposed":
      return convolution(node, role === "convolution_transposed", dims, shapes);
    case "recurrent_input":
    case "recurrent_state":
      return recurrent(node, role === "recurrent_input" ? "W" : "R", dims, shapes);
    case "embedding":
      return embedding(node, dims, shapes);
    case "matrix":
      return matrix(node, index, dims, shapes);
  }
}

function sizes(dims: readonly Dim[] | undefined): (number | null)[] | null {
  return dims ? dims.slice(2).map(known) : null;
}

function known(dim: Dim | undefined): number | null {
  return typeof dim === "number" ? dim : null;
}

function convolution(
  node: Node,
  transposed: boolean,
  dims: readonly number[],
  shapes: NodeShapes,
): ConvolutionGeometry {
  const groups = intAttribute(node, "group", 1);
  const [first = 0, second = 0] = dims;
  return {
    kind: "convolution",
    transposed,
    groups,
    inputChannels: transposed ? first : second * groups,
    outputChannels: transposed ? second * groups : first,
    window: windowOf(node, dims.slice(2)),
    batch: known(shapes.inputs[0]?.[0]),
    inputSize: sizes(shapes.inputs[0]),
    outputSize: sizes(shapes.outputs[0]),
  };
}

function recurrent(
  node: Node,
  part: "W" | "R",
  dims: readonly number[],
  shapes: NodeShapes,
): RecurrentGeometry {
  const gates = GATES[node.opType] ?? 1;
  const batchFirst = intAttribute(node, "layout", 0) === 1;
  const x = shapes.inputs[0];
  const [directions = 1, rows = 0, inputFeatures = 0] = dims;
  return {
    kind: "recurrent",
    part,
    directions,
    gates,
    hidden: rows / gates,
    inputFeatures,
    steps: known(x?.[batchFirst ? 1 : 0]),
    batch: known(x?.[batchFirst ? 0 : 1]),
  };
}

function embedding(node: Node, dims: readonly number[], shapes: NodeShapes): EmbeddingGeometry {
  const given = intAttribute(node, "axis", 0);
  const axis = given < 0 ? given + dims.length : given;
  const entries = dims[axis] ?? 0;
  const width = dims.reduce((product, dim, at) => (at === axis ? product : product * dim), 1);
  return { kind: "embedding", axis, entries, width, lookups: countOf(shapes.inputs[1]) };
}

function matrix(node: Node, index: number, dims: readonly number[], shapes: NodeShapes): MatrixGeometry {
  const rank = dims.length;
  // Which of the weight's last two axes is summed over: rows of a right factor, columns of a left one.
  const left = index === 0;
  const transposed = intAttribute(node, left ? "transA" : "transB", 0) !== 0;
  const inputAxis = left === transposed ? rank - 2 : rank - 1;
  const outputAxis = left === transposed ? rank - 1 : rank - 2;
  const outputFeatures = dims[outputAxis] ?? 0;
  const matrices = dims.slice(0, -2).reduce((a, b) => a * b, 1);
  const produced = countOf(shapes.outputs[0]);
  const each = times(outputFeatures, matrices);
  return {
    kind: "matrix",
    left,
    inputAxis,
    outputAxis,
    inputFeatures: dims[inputAxis] ?? 0,
    outputFeatures,
    rows: produced === null || !each ? null : produced / each,
  };
}
