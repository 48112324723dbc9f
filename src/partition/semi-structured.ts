import { constantValue } from "../onnx/constant/constant-value.ts";
import { isHalf, stridesOf } from "../onnx/constant/values.ts";
import { ConstantHolders } from "../onnx/constant-holders.ts";
import { walkGraphs } from "../onnx/edit.ts";
import { geometryOf, type LayerGeometry } from "../onnx/layer-geometry.ts";
import type { Model, Node } from "../onnx/model.ts";
import { weightInputs } from "../onnx/operators/weight-roles.ts";
import type { TensorValue } from "../onnx/tensor-value.ts";

/** Elements of the largest weight that is looked at, and of all together: 16 and 128 MB of float32. */
const LARGEST_WEIGHT = 1 << 22;
const ALL_WEIGHTS = 1 << 25;
const MOST_NODES = 64;

/** At most two of four neighbours are other than zero (Mishra et al., Accelerating Sparse Deep Neural Networks, 2021). */
const KEEP = 2;
const OF = 4;

export interface SemiStructured {
  /** Nodes all of whose weights are 2:4 sparse along what they sum over. */
  readonly nodes: ReadonlySet<Node>;
  /** Nodes with weights that were too large to be looked at. */
  readonly unread: number;
}

/** Which of these nodes of the model multiply 2:4 sparse weights. Weights that did not come with the model are dense. */
export async function semiStructuredNodes(model: Model, nodes: readonly Node[]): Promise<SemiStructured> {
  const holders = new ConstantHolders(model.graph);
  const opset = model.opsetImports.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 1;
  const wanted = new Set(nodes);
  const found = new Set<Node>();
  let left = ALL_WEIGHTS;
  let unread = 0;
  for (const { graph } of walkGraphs(model.graph)) {
    for (const node of graph.nodes) {
      if (!wanted.has(node)) continue;
      const inputs = weightInputs(node).filter(({ index }) => holders.find(graph, node.inputs[index] ?? ""));
      // Of a product with two constant sides only one is the weight; a recurrent layer has two weights.
      const weights = inputs.filter(({ suffix }, i) => i === 0 || suffix !== undefined);
      let sparse = weights.length > 0;
      for (const role of weights) {
        if (!sparse) break;
        const room = { elements: Math.min(left, LARGEST_WEIGHT), nodes: MOST_NODES, exceeded: false };
        const before = room.elements;
        const value = await constantValue(holders, graph, node.inputs[role.index] as string, opset, room);
        left -= before - room.elements;
        if (room.exceeded) unread++;
        sparse =
          value !== null &&
          isSemiStructured(value, geometryOf(node, role, value.dims, { inputs: [], outputs: [] }));
      }
      if (sparse) found.add(node);
    }
  }
  return { nodes: found, unread };
}

/** Whether no four neighbours along what the layer sums over have more than two other than zero. */
export function isSemiStructured(weight: TensorValue, geometry: LayerGeometry): boolean {
  return runsOf(weight.dims, geometry).some((run) => isSparseAlong(weight, run));
}

/** The axes that a layer sums over, the slowest first: four neighbours differ in the last of them. */
type Run = readonly number[];

/** Orders in which a layer may sum, any of which an accelerator can exploit. */
function runsOf(dims: readonly number[], geometry: LayerGeometry): readonly Run[] {
  switch (geometry.kind) {
    case "convolution": {
      if (geometry.groups > 1) return [];
      const kernel = dims.map((_, axis) => axis).slice(2);
      // As a matrix of im2col, or by channels at each position of the kernel, as TensorRT wants it.
      return geometry.transposed
        ? [[0]]
        : [
            [1, ...kernel],
            [...kernel, 1],
          ];
    }
    case "matrix":
      return [[geometry.inputAxis]];
    case "recurrent":
      return [[2]];
    case "embedding":
      return [];
  }
}

function isSparseAlong({ dims, data, dataType }: TensorValue, run: Run): boolean {
  const strides = stridesOf(dims);
  const steps = offsetsOf(
    run.map((axis) => dims[axis] as number),
    run.map((axis) => strides[axis] as number),
  );
  if (steps.length < OF) return false;
  const others = dims.map((_, axis) => axis).filter((axis) => !run.includes(axis));
  const starts = offsetsOf(
    others.map((axis) => dims[axis] as number),
    others.map((axis) => strides[axis] as number),
  );
  // Halves are bit patterns, of which 0x8000 is −0.
  const bits = isHalf(dataType) ? 0x7fff : null;
  for (const start of starts) {
    for (let first = 0; first < steps.length; first += OF) {
      let kept = 0;
      for (let i = first; i < Math.min(first + OF, steps.length); i++) {
        const entry = data[start + (steps[i] as number)];
        if (Number(bits === null ? entry : (entry as number) & bits) !== 0) kept++;
      }
      if (kept > KEEP) return false;
    }
  }
  return starts.length > 0;
}

/** Offsets of all combinations of indices, the last axis fastest. */
function offsetsOf(sizes: readonly number[], strides: readonly number[]): Float64Array {
  let offsets = Float64Array.of(0);
  for (const [axis, size] of sizes.entries()) {
    const next = new Float64Array(offsets.length * size);
    for (let i = 0; i < next.length; i++) {
      next[i] = (offsets[Math.floor(i / size)] as number) + (i % size) * (strides[axis] as number);
    }
    offsets = next;
  }
  return offsets;
}
