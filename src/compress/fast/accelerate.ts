import { DataType } from "../../onnx/data-type.ts";
import { freshNames, intAttribute } from "../../onnx/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../onnx/model.ts";
import { type InferOptions, shapeInference } from "../../onnx/shapes/infer.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { type Window, windowOf } from "../../onnx/shapes/window.ts";
import { modelSize } from "../../onnx/write.ts";
import { isStandard, NEWEST_OPSET } from "../lossless/pass.ts";
import { constantValues } from "./constant-values.ts";
import { bestTile, type ConvolutionSize, type Target, type Tile } from "./convolution-time.ts";
import { addTiledConvolution, type Convolution, Parts } from "./tiled-convolution.ts";

export interface AccelerateOptions {
  /** Shapes of inputs whose declared sizes are open; a convolution of unknown size is left as it is. */
  readonly inputShapes?: InferOptions["inputShapes"];
  /** Bytes that the file may grow by; by default a hundredth of it. */
  readonly growth?: number;
  /** Where it has to be faster, by default "everywhere": no slower in native ONNX Runtime either. */
  readonly target?: Target;
}

export interface Accelerated {
  readonly model: Model;
  /** The convolutions that were rewritten, by their first output, with the outputs computed together on each axis. */
  readonly convolutions: readonly { readonly output: string; readonly tile: Tile }[];
}

const DEFAULT_GROWTH = 0.01;

/**
 * The model with the large convolutions of its main graph rewritten into forms that take fewer multiplications (see
 * {@link addTiledConvolution}), those that save most first, as long as the file does not grow too much. The sums are
 * rounded in another order: a convolution's output moved by 2e-6 of its norm at most where one axis is tiled, by 5e-6
 * where both are (measured at 16 to 384 channels). What that does to the model's outputs depends on the model, as it
 * does when another runtime rounds otherwise. Nothing else changes; the weights stay in the file as they are, but are
 * no longer the weights of a Conv: a model is to be accelerated after all else was done to it.
 *
 * What is rewritten is decided by a model of time, so that the same input gives the same bytes everywhere.
 */
export async function accelerate(model: Model, options: AccelerateOptions = {}): Promise<Accelerated> {
  const opset = model.opsetImports.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0;
  if (opset < 7 || opset > NEWEST_OPSET || model.irVersion < 4) return { model, convolutions: [] };
  const candidates = await candidatesOf(model, opset, options);
  let budget = options.growth ?? DEFAULT_GROWTH * modelSize(model);
  const fresh = freshNames(model);
  let shared: ReadonlyMap<string, string> = new Map();
  const replaced = new Map<Node, readonly Node[]>();
  const constants: Tensor[] = [];
  const convolutions: { output: string; tile: Tile }[] = [];
  for (const { convolution, tile } of candidates) {
    const parts = new Parts(fresh, shared);
    addTiledConvolution(parts, convolution, tile, opset);
    if (parts.bytes > budget) continue;
    budget -= parts.bytes;
    shared = parts.shared;
    replaced.set(convolution.node, parts.nodes);
    constants.push(...parts.constants);
    convolutions.push({ output: convolution.node.outputs[0]!, tile });
  }
  if (replaced.size === 0) return { model, convolutions };
  const nodes = inOrder(model.graph, replaced);
  const initializers = [...model.graph.initializers, ...constants];
  return { model: { ...model, graph: { ...model.graph, nodes, initializers } }, convolutions };
}

interface Candidate {
  readonly convolution: Convolution;
  readonly tile: Tile;
  readonly saved: number;
}

/** Convolutions that pay, the largest saving first. */
async function candidatesOf(model: Model, opset: number, options: AccelerateOptions): Promise<Candidate[]> {
  const { graph } = model;
  const infer = await shapeInference(model);
  const shapes = infer({});
  const example = infer(options.inputShapes ? { inputShapes: options.inputShapes } : {});
  const constants = constantValues(graph);
  const candidates: Candidate[] = [];
  for (const node of graph.nodes) {
    if (!isStandard(node, "Conv") || !constants.has(node.inputs[1] ?? "")) continue;
    const found = candidate(graph, node, shapes, example, opset, options.target ?? "everywhere");
    if (found) candidates.push(found);
  }
  return candidates.sort((a, b) => b.saved - a.saved);
}

function candidate(
  graph: Graph,
  node: Node,
  shapes: Shapes,
  example: Shapes,
  opset: number,
  target: Target,
): Candidate | null {
  const weight = shapes.of(graph, node.inputs[1]!);
  const dims = weight?.dims ?? [];
  if (weight?.dataType !== DataType.FLOAT || dims.length !== 4 || intAttribute(node, "group", 1) !== 1)
    return null;
  if (!dims.every((size) => typeof size === "number" && size > 0)) return null;
  const weightDims = dims as number[];
  const window = windowOf(node, weightDims.slice(2));
  if (window.dilations.some((step) => step !== 1)) return null;
  const pads = padsOf(window);
  const sizes = example.of(graph, node.outputs[0]!)?.dims ?? [];
  if (!pads || sizes.length !== 4 || !sizes.every((size) => typeof size === "number" && size > 0))
    return null;
  const [batch, outputChannels, ...output] = sizes as [number, number, number, number];
  const [rows, columns] = window.strides as [number, number];
  const size: ConvolutionSize = {
    batch,
    outputChannels,
    inputChannels: weightDims[1]!,
    kernel: [weightDims[2]!, weightDims[3]!],
    strides: [rows, columns],
    output,
  };
  const best = bestTile(size, target);
  if (!best) return null;
  const declared = shapes.of(graph, node.outputs[0]!)?.dims ?? [];
  const known = [0, 1].map((axis) => {
    const size = declared[axis + 2];
    return typeof size === "number" ? size : null;
  }) as [number | null, number | null];
  for (const axis of [0, 1] as const) {
    if (best.tile[axis] === 1 || known[axis] !== null) continue;
    const keeps = pads[axis]! + pads[axis + 2]! === window.kernel[axis]! - 1;
    if (!keeps || opset < 10) return null;
  }
  const convolution = { node, weightDims, strides: [rows, columns] as const, pads, output: known };
  return { convolution, tile: best.tile, saved: best.saved };
}

/** Margins [top, left, bottom, right]; null where they depend on the input's size. */
function padsOf({ autoPad, kernel, strides, pads }: Window): readonly number[] | null {
  if (autoPad === "VALID") return [0, 0, 0, 0];
  if (autoPad === "NOTSET") return pads.every((size) => size >= 0) ? pads : null;
  if (strides.some((step) => step !== 1)) return null;
  const less = kernel.map((size) => Math.floor((size - 1) / 2));
  const more = kernel.map((size) => Math.ceil((size - 1) / 2));
  return autoPad === "SAME_UPPER" ? [...less, ...more] : [...more, ...less];
}

/**
 * The graph's nodes with some replaced. What is made once for several convolutions is made with the one that was
 * rewritten first, which need not come first: constant nodes go to where their inputs are known.
 */
function inOrder(graph: Graph, replaced: ReadonlyMap<Node, readonly Node[]>): Node[] {
  const late = new Map<string, Node>();
  for (const nodes of replaced.values())
    for (const node of nodes) for (const name of node.outputs) late.set(name, node);
  const placed = new Set<Node>();
  const nodes: Node[] = [];
  const place = (node: Node) => {
    if (placed.has(node)) return;
    placed.add(node);
    for (const name of node.inputs) {
      const maker = late.get(name);
      if (maker) place(maker);
    }
    nodes.push(node);
  };
  for (const node of graph.nodes) for (const each of replaced.get(node) ?? [node]) place(each);
  return nodes;
}
