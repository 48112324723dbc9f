import { quadratic } from "../../src/compress/input-moments.ts";
import { layoutOf, toMatrices } from "../../src/compress/layer-matrix.ts";
import type { MomentsLimits } from "../../src/evaluate/moments/budget.ts";
import { collectMoments, type LayerMoments } from "../../src/evaluate/moments/collect.ts";
import { type Execution, whole } from "../../src/evaluate/segments/execution.ts";
import { referenceKernels } from "../../src/kernels/reference/kernels.ts";
import { widen } from "../../src/onnx/constant/half.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { listLayers } from "../../src/onnx/layers.ts";
import type { Model, ValueInfo } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import type { TensorValue } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds, Runtime } from "../../src/runtime/runtime.ts";
import { floats } from "../compress/tiny.ts";

/** Nothing is left out. */
export const ALL: Partial<MomentsLimits> = { vectorsPerFeature: 1e9, gramMacs: 1e18 };

export function fed(dims: readonly number[], seed = 99): TensorValue {
  return { dataType: DataType.FLOAT, dims, data: floats(dims, seed) };
}

export interface Collecting {
  readonly limits?: Partial<MomentsLimits>;
  readonly runtime?: Runtime;
  readonly execution?: Execution;
}

export async function momentsOf(
  model: Model,
  feeds: readonly Feeds[],
  { limits = ALL, runtime, execution }: Collecting = {},
): Promise<Map<string, LayerMoments>> {
  const found = new Map<string, LayerMoments>();
  const options = {
    model,
    feeds,
    limits,
    kernels: referenceKernels,
    execution: execution ?? whole(runtime ?? (await nodeRuntime())),
  };
  for await (const moments of collectMoments(options)) found.set(moments.layer, moments);
  return found;
}

export async function outputsOf(model: Model, feeds: readonly Feeds[]): Promise<Feeds[]> {
  const session = await (await nodeRuntime()).load(await modelBytes(model));
  const outputs: Feeds[] = [];
  try {
    for (const feed of feeds) outputs.push(await session.run(feed));
  } finally {
    await session.release();
  }
  return outputs;
}

export function numbersOf({ dataType, data }: TensorValue): Float32Array {
  return dataType === DataType.FLOAT16 ? widen(dataType, data as Uint16Array) : (data as Float32Array);
}

export function energy(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}

/** tr(W·G·Wᵀ)·count of a layer, over all of its matrices: the sum of squares of what it gives without its bias. */
export async function expectedEnergy(model: Model, moments: LayerMoments): Promise<number> {
  if (moments.matrices === null) throw new Error(`${moments.layer}: ${moments.reason}`);
  const layer = listLayers(model, await inferShapes(model)).find(({ name }) => name === moments.layer)!;
  const { tensor } = layer.weight.holder;
  if ("values" in tensor) throw new Error("a dense weight is wanted");
  const layout = layoutOf(layer.uses[0]!.geometry, layer.dims)!;
  const weights = toMatrices(layout, numbersOf(await readTensor(tensor)));
  const size = layout.rows * layout.columns;
  let sum = 0;
  for (const [i, one] of moments.matrices.entries()) {
    if (one === null) continue;
    const weight = weights.subarray(i * size, (i + 1) * size);
    sum += one.count * quadratic(weight, layout.rows, layout.columns, one);
  }
  return sum;
}

/** Relative distance between what the moments of a model's only layer say of its output y, and y. */
export async function gap(model: Model, feeds: readonly Feeds[]): Promise<number> {
  const outputs = await outputsOf(model, feeds);
  const given = outputs.reduce((sum, { y }) => sum + energy(numbersOf(y!)), 0);
  const [moments] = [...(await momentsOf(model, feeds)).values()];
  return Math.abs((await expectedEnergy(model, moments!)) - given) / given;
}

/** A value whose shape is left to be inferred. */
export const open = (name: string, dataType: number = DataType.FLOAT): ValueInfo => ({
  name,
  type: { kind: "tensor", dataType },
});
