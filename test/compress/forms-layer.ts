import { type ChainStep, chainOf, storedDims } from "../../src/compress/forms/chain.ts";
import { type Form, targetOf } from "../../src/compress/forms/form.ts";
import type { FormLayer, FormSolution } from "../../src/compress/forms/solution.ts";
import { withChain } from "../../src/compress/forms/with-chain.ts";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import { prepareKernelSharing } from "../../src/compress/kernel-sharing/calibrated.ts";
import { fromMatrices, layoutOf, toMatrices } from "../../src/compress/layer-matrix.ts";
import { prepareLowRank } from "../../src/compress/low-rank/low-rank.ts";
import { prepareSpatial } from "../../src/compress/low-rank/spatial.ts";
import { prepareTucker } from "../../src/compress/low-rank/tucker.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { freshNames, type NewAttribute } from "../../src/onnx/edit.ts";
import { type Layer, listLayers } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { floats, floatTensor, graphOf, modelOf, node, value } from "./tiny.ts";

/** A layer of a model with its numbers and moments of its input. */
export interface FoundLayer extends FormLayer {
  readonly layer: Layer;
}

export async function layerNamed(
  model: Model,
  name: string,
  moments: (n: number, index: number) => InputMoments | null = correlatedMoments,
): Promise<FoundLayer> {
  const layer = listLayers(model, await inferShapes(model)).find((one) => one.name === name)!;
  const { tensor } = layer.weight.holder;
  if ("values" in tensor) throw new Error("a sparse weight");
  const { data } = await readTensor(tensor);
  const use = layer.uses[0]!;
  const layout = layoutOf(use.geometry, layer.dims)!;
  return {
    layer,
    target: targetOf(use.node, use.geometry, layer.dims)!,
    layout,
    matrices: toMatrices(layout, data as Float32Array),
    moments: Array.from({ length: layout.count }, (_, i) => moments(layout.columns, i)),
  };
}

/** Moments of `count` vectors whose neighbouring features move together, a few of them far more than others. */
export function correlatedMoments(n: number, seed = 1, count = 3 * n + 5): InputMoments {
  const noise = floats([count, n], seed + 100);
  const x = new Float32Array(count * n);
  for (let r = 0; r < count; r++) {
    for (let c = 0; c < n; c++) {
      const before = c > 0 ? x[r * n + c - 1]! : 0;
      x[r * n + c] = 0.9 * before + noise[r * n + c]! * (c % 7 === 0 ? 2 : 0.5) + 0.2;
    }
  }
  return momentsOf(x, count, n);
}

/** Straight from the definition, in double precision. */
export function momentsOf(x: Float32Array, count: number, n: number): InputMoments {
  const gram = new Float64Array(n * n);
  const mean = new Float64Array(n);
  for (let r = 0; r < count; r++) {
    for (let i = 0; i < n; i++) {
      mean[i]! += x[r * n + i]! / count;
      for (let j = 0; j < n; j++) gram[i * n + j]! += (x[r * n + i]! * x[r * n + j]!) / count;
    }
  }
  const diagonal = Float32Array.from({ length: n }, (_, i) => gram[i * n + i]!);
  return { n, count, gram: Float32Array.from(gram), diagonal, mean: Float32Array.from(mean) };
}

/** A model of one node "y" with a weight "w" on either side. */
export function layerModel(
  op: string,
  inputs: readonly [data: readonly number[], weight: readonly number[], bias: readonly number[] | null],
  attributes: Readonly<Record<string, NewAttribute>>,
  left = false,
): Model {
  const [data, weight, bias] = inputs;
  const names = left ? ["w", "x"] : ["x", "w"];
  return modelOf(
    graphOf({
      nodes: [node(op, bias ? [...names, "b"] : names, ["y"], attributes)],
      initializers: [
        floatTensor("w", weight, floats(weight)),
        ...(bias ? [floatTensor("b", bias, floats(bias, 3))] : []),
      ],
      inputs: [value("x", data)],
      outputs: [{ name: "y" }],
    }),
  );
}

/** The layer's solution of that form, as its solver gives it. */
export function solved(layer: FormLayer, form: Form): FormSolution {
  switch (form.kind) {
    case "kernel_sharing":
      return prepareKernelSharing([layer], kernels).at(form.bases, form.order)[0]!;
    case "low_rank":
      return prepareLowRank(layer, kernels).at(form.rank);
    case "spatial":
      return prepareSpatial(layer, form.axis, kernels).at(form.rank);
    case "tucker":
      return prepareTucker(layer, kernels).at(form.inputRank, form.outputRank);
    case "dense":
      return { form, weights: [{ role: "weight", values: layer.matrices }], dense: layer.matrices, error: 0 };
  }
}

/** The model with the solution's chain in the layer's place. */
export function withForm(model: Model, { layer, target }: FoundLayer, solution: FormSolution): Model {
  const steps = chainOf(solution.form, target);
  const fresh = freshNames(model);
  const names = Object.fromEntries(solution.weights.map(({ role }) => [role, fresh(`w_${role}`)]));
  const dimsOf = (role: string) => storedDims(steps.find((step) => step.weight?.role === role)!.weight!);
  const graph = withChain(model.graph, layer.uses[0]!.node.outputs[0]!, steps, names, fresh);
  const weights = solution.weights.map(({ role, values }) => floatTensor(names[role]!, dimsOf(role), values));
  const kept = graph.initializers.filter(({ name }) => name !== layer.weight.name);
  return { ...model, graph: { ...graph, initializers: [...kept, ...weights] } };
}

/** The model with one weight in the place of the layer's. */
export function withDense(model: Model, { layer, layout }: FoundLayer, dense: Float32Array): Model {
  const { name } = layer.weight;
  const changed = floatTensor(name, layer.dims, fromMatrices(layout, dense));
  const initializers = model.graph.initializers.map((one) => (one.name === name ? changed : one));
  return { ...model, graph: { ...model.graph, initializers } };
}

/** Shapes that a chain stores. */
export function weightDims(steps: readonly ChainStep[]): (readonly number[])[] {
  return steps.flatMap(({ weight }) => (weight ? [storedDims(weight)] : []));
}
