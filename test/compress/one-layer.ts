import { assemble } from "../../src/compress/assemble.ts";
import type { FormTarget } from "../../src/compress/forms/form.ts";
import { kernelElements, reasonAgainst } from "../../src/compress/forms/form.ts";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import { factsOf, readBias, readWeight, siteOf } from "../../src/compress/layer-of-model.ts";
import { LayerTreater } from "../../src/compress/layer-treater.ts";
import type { TreatedLayer } from "../../src/compress/treated-layer.ts";
import type {
  ChainForm,
  SparsityTreatment,
  StorageTreatment,
  Treatment,
} from "../../src/compress/treatment.ts";
import { storedAs } from "../../src/compress/weight.ts";
import type { Kernels } from "../../src/kernels/kernels.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { mapGraphs, type NewAttribute, withAttributes } from "../../src/onnx/edit.ts";
import { type Layer, listLayers } from "../../src/onnx/layers.ts";
import type { Graph, Model, Node, Tensor } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { correlatedMoments } from "./forms-layer.ts";
import {
  type Feed,
  floatFeed,
  floats,
  floatTensor,
  graphOf,
  int,
  ints,
  modelOf,
  node,
  value,
} from "./tiny.ts";

/** A node with a weight "w" that computes "y", and what it needs to run. */
export interface Kind {
  readonly name: string;
  readonly weight: readonly number[];
  readonly node: Node;
  /** Further initializers. */
  readonly others: readonly Tensor[];
  readonly input: readonly number[];
  readonly feed: Feed;
  /** Of the layer in the model. */
  readonly layer: string;
}

interface Shape {
  readonly weight: readonly number[];
  readonly input: readonly number[];
  readonly bias?: number;
  readonly attributes?: Readonly<Record<string, NewAttribute>>;
  readonly left?: boolean;
}

export function kindOf(name: string, op: string, shape: Shape): Kind {
  const { weight, input, bias, attributes = {}, left = false } = shape;
  const inputs = left ? ["w", "x"] : ["x", "w"];
  return {
    name,
    weight,
    node: node(op, bias === undefined ? inputs : [...inputs, "b"], ["y"], attributes),
    others: bias === undefined ? [] : [floatTensor("b", [bias], floats([bias], 3))],
    input,
    feed: floatFeed(input),
    layer: "y",
  };
}

export function lstm(directions: number, hidden: number, inputs: number): Kind {
  const r = [directions, 4 * hidden, hidden];
  const attributes: Record<string, NewAttribute> = { hidden_size: int(hidden) };
  if (directions === 2) attributes.direction = { type: "string", value: "bidirectional" };
  return {
    name: directions === 2 ? "W of a bidirectional LSTM" : "W of an LSTM",
    weight: [directions, 4 * hidden, inputs],
    node: node("LSTM", ["x", "w", "r"], ["y"], attributes),
    others: [floatTensor("r", r, floats(r, 5))],
    input: [5, 2, inputs],
    feed: floatFeed([5, 2, inputs]),
    layer: "y.W",
  };
}

export function gather(name: string, weight: readonly number[], axis: number): Kind {
  const entries = weight[axis]!;
  return {
    name,
    weight,
    node: node("Gather", ["w", "x"], ["y"], { axis: int(axis) }),
    others: [],
    input: [3],
    feed: { type: "int64", data: BigInt64Array.of(0n, 1n, BigInt(entries - 1)), dims: [3] },
    layer: "y",
  };
}

export const KINDS: readonly Kind[] = [
  kindOf("a Conv", "Conv", {
    weight: [8, 6, 3, 3],
    input: [1, 6, 7, 7],
    bias: 8,
    attributes: { pads: ints(1, 1, 1, 1) },
  }),
  kindOf("a grouped Conv", "Conv", {
    weight: [8, 4, 3, 3],
    input: [1, 8, 6, 6],
    bias: 8,
    attributes: { group: int(2), strides: ints(2, 1) },
  }),
  kindOf("a 1-D Conv", "Conv", { weight: [6, 5, 5], input: [2, 5, 19], bias: 6 }),
  kindOf("a ConvTranspose", "ConvTranspose", { weight: [6, 8, 3, 3], input: [1, 6, 5, 5], bias: 8 }),
  kindOf("a grouped ConvTranspose", "ConvTranspose", {
    weight: [8, 3, 2, 2],
    input: [1, 8, 5, 5],
    attributes: { group: int(2), strides: ints(2, 2) },
  }),
  kindOf("a Gemm", "Gemm", { weight: [24, 12], input: [5, 24], bias: 12 }),
  kindOf("a Gemm with transB", "Gemm", {
    weight: [12, 24],
    input: [5, 24],
    bias: 12,
    attributes: { transB: int(1) },
  }),
  kindOf("a MatMul", "MatMul", { weight: [24, 12], input: [2, 5, 24] }),
  kindOf("a MatMul from the left", "MatMul", { weight: [12, 24], input: [24, 5], left: true }),
  kindOf("a MatMul of a batch", "MatMul", { weight: [3, 16, 12], input: [3, 4, 16] }),
  lstm(1, 8, 16),
  lstm(2, 5, 16),
  gather("a Gather", [40, 16], 0),
  gather("a Gather along the last axis", [16, 40], 1),
];

export const OPSET = 21;

export interface Options {
  readonly values?: Float32Array;
  readonly dataType?: number;
  readonly opset?: number;
  /** What holds the weight. */
  readonly holder?: "initializer" | "constant";
  /** Whether the node is in both branches of an If. */
  readonly inIf?: boolean;
  /** Casts the input to the weight's type and the output back, where the weight is no float. */
  readonly cast?: boolean;
}

/** The kind's node in a model that was read back from its bytes, as an upload is. */
export async function modelWith(kind: Kind, options: Options = {}): Promise<Model> {
  const { values = floats(kind.weight), dataType = DataType.FLOAT, opset = OPSET } = options;
  const weight = tensorOf("w", { dataType, dims: kind.weight, data: storedAs(dataType, values) });
  const asConstant = options.holder === "constant";
  const constant = node("Constant", [], ["w"], { value: { type: "tensor", value: weight } });
  const casts = options.cast === true;
  const own = casts
    ? [
        node("Cast", ["x"], ["xc"], { to: int(dataType) }),
        {
          ...kind.node,
          inputs: kind.node.inputs.map((name) => (name === "x" ? "xc" : name)),
          name: "inner",
          outputs: ["yc"],
        },
        node("Cast", ["yc"], ["y"], { to: int(DataType.FLOAT) }),
      ]
    : [kind.node];
  const inputs = [value("x", kind.input, kind.feed.type === "int64" ? DataType.INT64 : DataType.FLOAT)];
  const body = graphOf({
    nodes: asConstant ? [constant, ...own] : own,
    initializers: asConstant ? kind.others : [weight, ...kind.others],
    inputs: options.inIf ? [] : inputs,
    outputs: [{ name: "y" }],
  });
  const branch = { type: "graph", value: body } as const;
  const whole = options.inIf
    ? graphOf({
        nodes: [node("If", ["c"], ["y"], { then_branch: branch, else_branch: branch })],
        inputs: [...inputs, value("c", [], DataType.BOOL)],
        outputs: [{ name: "y" }],
      })
    : body;
  const model = modelOf(whole, opset, opset > 18 ? 10 : 8);
  return readModel(bytesSource(await modelBytes(model)));
}

export function feedsOf(kind: Kind, inIf = false): Record<string, Feed> {
  return inIf ? { x: kind.feed, c: { type: "bool", data: Uint8Array.of(1), dims: [] } } : { x: kind.feed };
}

export async function layersOf(model: Model): Promise<Layer[]> {
  return listLayers(model, await inferShapes(model));
}

/** Larger than any treatment, so that assembling leaves none out. */
const AMPLE_BYTES = 1e9;

export type MomentsOf = (n: number, index: number) => InputMoments | null;

/** @param moments null for none at all */
export async function treaterOf(
  layer: Layer,
  kernels: Kernels,
  moments: MomentsOf | null = correlatedMoments,
  opset = OPSET,
): Promise<LayerTreater> {
  const facts = factsOf(layer);
  const { layout } = facts;
  const embedding = layer.uses[0]!.geometry.kind === "embedding";
  return new LayerTreater({
    facts: { ...facts, bytes: AMPLE_BYTES },
    weight: (await readWeight(layer)) ?? null,
    nonzero: null,
    bias: await readBias(layer),
    moments:
      layout === null || moments === null || embedding
        ? null
        : Array.from({ length: layout.count }, (_, i) => moments(layout.columns, i)),
    kernels,
    opset,
    globalRatio: null,
  });
}

export function assembled(model: Model, layer: Layer, { result }: TreatedLayer, opset = OPSET): Model {
  const { model: edited, dropped } = assemble(model, [siteOf(layer)], [result], opset);
  if (dropped.length > 0) throw new Error(`${dropped.join()} was left out`);
  return edited;
}

/** The model with the dense weight, and the bias, that the treated layer stands for. */
export function withEffective(model: Model, layer: Layer, { effective, bias }: TreatedLayer): Model {
  const { weight, node: own } = siteOf(layer);
  const biasName = siteOf(layer).bias;
  const dense = tensorOf(weight.name, {
    dataType: layer.dataType,
    dims: layer.dims,
    data: storedAs(layer.dataType, effective),
  });
  const same = (a: readonly string[], b: readonly string[]) => a.join("\n") === b.join("\n");
  const replaced = (graph: Graph, name: string, tensor: Tensor): Graph => ({
    ...graph,
    initializers: graph.initializers.map((one) => (one.name === name ? tensor : one)),
    nodes: graph.nodes.map((one) =>
      one.opType === "Constant" && one.outputs[0] === name
        ? withAttributes(one, { value: { type: "tensor", value: tensor } })
        : one,
    ),
  });
  const graph = mapGraphs(model.graph, (one, path) => {
    const changed = same(path, weight.graph) ? replaced(one, weight.name, dense) : one;
    return bias && biasName && same(path, own.graph)
      ? replaced(changed, biasName, floatTensor(biasName, [bias.length], bias))
      : changed;
  });
  return { ...model, graph };
}

export function zeros(
  pattern: SparsityTreatment["pattern"],
  ratio: number | null,
  solver: SparsityTreatment["solver"] = "admm",
): SparsityTreatment {
  return { pattern, ratio, solver, regularizer: null, strength: null };
}

export function integers(
  levels: number,
  group: number | null = null,
  decode: "folded" | "dequantize_linear" = "folded",
): StorageTreatment {
  return { kind: "integers", levels, group, decode };
}

const SPARSITIES: readonly SparsityTreatment[] = [
  zeros("unstructured", 0.6),
  zeros("unstructured", 0.95, "obs"),
  zeros("unstructured", 0.4, "wanda"),
  zeros("2:4", null),
  zeros("4:8", null, "magnitude"),
  zeros("block", 0.5),
  { pattern: "unstructured", ratio: 0.5, solver: "proximal", regularizer: "l1", strength: null },
  { pattern: "unstructured", ratio: null, solver: "proximal", regularizer: "l1", strength: 0.3 },
];

const STORAGES: readonly StorageTreatment[] = [
  { kind: "half" },
  integers(255),
  integers(15),
  integers(5, 8),
  integers(255, null, "dequantize_linear"),
  integers(15, 8, "dequantize_linear"),
];

function dense(sparsity: SparsityTreatment | null, storage: StorageTreatment | null): Treatment {
  return { form: null, sparsity, storage };
}

const DENSE: readonly Treatment[] = [
  ...SPARSITIES.map((sparsity) => dense(sparsity, null)),
  ...STORAGES.map((storage) => dense(null, storage)),
  dense(zeros("unstructured", 0.6), integers(21)),
  dense(zeros("unstructured", 0.9), { kind: "half" }),
  dense(zeros("2:4", null), integers(255, null, "dequantize_linear")),
  dense(zeros("block", 0.5), integers(15, 8, "dequantize_linear")),
];

/** Every form that the layer can take, of about `rank`. */
export function formsOf(target: FormTarget | null, rank = 3): ChainForm[] {
  if (target === null) return [];
  const open = (kind: ChainForm["kind"]) => reasonAgainst(kind, target) === null;
  const forms: ChainForm[] = [];
  if (open("low_rank")) forms.push({ kind: "low_rank", rank });
  if (open("kernel_sharing")) {
    const bases = Math.min(rank, kernelElements(target));
    for (const order of ["basis_first", "coefficients_first"] as const) {
      forms.push({ kind: "kernel_sharing", order, bases });
    }
  }
  if (open("spatial")) {
    target.dims.slice(2).forEach((size, axis) => {
      if (size > 1) forms.push({ kind: "spatial", axis, rank });
    });
  }
  if (open("tucker")) {
    forms.push({ kind: "tucker", inputRank: rank, outputRank: rank + 1 });
    forms.push({ kind: "tucker", inputRank: rank, outputRank: null });
  }
  return forms;
}

/** Treatments of every sort, and forms with zeros and storage. */
export function treatmentsOf(target: FormTarget | null): Treatment[] {
  const combined: Omit<Treatment, "form">[] = [
    { sparsity: null, storage: null },
    { sparsity: null, storage: { kind: "half" } },
    { sparsity: null, storage: integers(255) },
    { sparsity: null, storage: integers(15, null, "dequantize_linear") },
    { sparsity: zeros("unstructured", 0.5), storage: null },
    { sparsity: zeros("unstructured", 0.5), storage: integers(31) },
    { sparsity: zeros("2:4", null), storage: integers(255, null, "dequantize_linear") },
  ];
  return [...DENSE, ...formsOf(target).flatMap((form) => combined.map((rest) => ({ form, ...rest })))];
}
