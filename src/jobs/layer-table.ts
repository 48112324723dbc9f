import type { Recipe } from "../../schemas/recipe.ts";
import { globalRatio, type Policy, policyOf } from "../compress/allocate/policy.ts";
import { assemble } from "../compress/assemble.ts";
import type { LayerFacts } from "../compress/layer-facts.ts";
import { factsOf, readBias, readWeight, siteOf } from "../compress/layer-of-model.ts";
import type { LayerResult } from "../compress/layer-result.ts";
import { type GlobalWeight, globalZeros } from "../compress/sparsity/global.ts";
import { countNonzero, type LayerWeight, weightOf } from "../compress/weight.ts";
import { type Layer, listLayers } from "../onnx/layers.ts";
import type { Model } from "../onnx/model.ts";
import { standardOpset } from "../onnx/scope.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import { readTensor } from "../onnx/tensor.ts";
import { piecesOf, ranged, readRange } from "../onnx/tensor-range.ts";
import type { TensorArray } from "../onnx/tensor-value.ts";

/** The layers of one model under one recipe. */
export class LayerTable {
  readonly policy: Policy;
  readonly layers: readonly Layer[];
  readonly facts: readonly LayerFacts[];
  /** Of the standard domain. */
  readonly opset: number;
  readonly model: Model;

  private constructor(model: Model, layers: readonly Layer[], recipe: Recipe) {
    this.model = model;
    this.layers = layers;
    this.facts = layers.map(factsOf);
    this.opset = standardOpset(model) ?? 1;
    this.policy = policyOf(
      recipe,
      layers.map((layer) => layer.name),
    );
  }

  /** @throws UnsupportedRecipeError or UnknownLayerError where the recipe does not suit the model */
  static async of(model: Model, recipe: Recipe): Promise<LayerTable> {
    const { shapes } = await inferDefaultShapes(model);
    return new LayerTable(model, listLayers(model, shapes), recipe);
  }

  /** The layer's numbers; undefined where it is fixed or of a type that is not compressed. */
  weight(index: number): Promise<LayerWeight | undefined> {
    return readWeight(this.layers[index]!);
  }

  /** The layer's own bias; null where it has none that may be corrected. */
  bias(index: number): Promise<Float32Array | null> {
    return readBias(this.layers[index]!);
  }

  /** Whether the layer is in the body of an If, Loop or Scan, so that samples may not reach it. */
  conditional(index: number): boolean {
    return this.layers[index]!.uses.some(({ path }) => path.length > 0);
  }

  /** Whether the recipe has a ratio that holds over the whole model. */
  get hasGlobalRatio(): boolean {
    return globalRatio(this.policy.layers) !== null;
  }

  /** Shares of zeros of the layers that take part in a ratio over the whole model; reads their weights. */
  async globalRatios(): Promise<Record<string, number>> {
    const shared = globalRatio(this.policy.layers);
    if (shared === null) return {};
    const weights = [];
    for (const layer of this.layers) {
      if (!shared.layers.includes(layer.name)) continue;
      weights.push(...(await loadersOf(layer)));
    }
    const zeros = await globalZeros(weights, shared.ratio);
    const counts = new Map(this.layers.map(({ name, parameters }) => [name, parameters]));
    return Object.fromEntries(
      [...zeros].map(([layer, count]) => [layer, count / Math.max(1, counts.get(layer)!)]),
    );
  }

  /** The model with the results in place; those that would make their layer larger are left out and named. */
  assemble(results: readonly LayerResult[]): { model: Model; dropped: readonly string[] } {
    return assemble(this.model, this.layers.map(siteOf), results, this.opset);
  }
}

/** Elements of a large weight that are read at once. */
const PIECE = 2 ** 20;

/** Reads the weight, a large one in pieces; none where it is fixed or of a type that is not compressed. */
async function loadersOf(layer: Layer): Promise<GlobalWeight[]> {
  const { name, parameters, fixed, weight } = layer;
  const of = "values" in weight.holder.tensor ? null : ranged(weight.holder.tensor);
  if (of === null || parameters <= PIECE) {
    if ((await readWeight(layer)) === undefined) return [];
    return [{ layer: name, count: parameters, load: async () => (await readWeight(layer))!.values }];
  }
  if (fixed !== null || weightOf(await readRange(of, 0, [0])) === undefined) return [];
  return Array.from({ length: Math.ceil(parameters / PIECE) }, (_, i) => {
    const count = Math.min(PIECE, parameters - i * PIECE);
    return {
      layer: name,
      count,
      load: async () => weightOf(await readRange(of, i * PIECE, [count]))!.values,
    };
  });
}

/** The same for layers of all models that have their numbers from one place of a blob, or from one tensor. */
export function originOf({ weight }: Layer): string | object {
  const { tensor } = weight.holder;
  const payload = "values" in tensor ? null : (ranged(tensor)?.payload ?? null);
  if (payload === null || payload instanceof Uint8Array || payload.source.blob === undefined) return tensor;
  return `${payload.source.blob} ${payload.offset} ${payload.length}`;
}

/** Stored numbers of a layer that are not zero, whatever their type; its weight is read. */
export async function nonzeroOf({ weight }: Layer): Promise<number> {
  const { tensor } = weight.holder;
  const stored = "values" in tensor ? tensor.values : tensor;
  const of = ranged(stored);
  let count = 0;
  for await (const { data } of of ? piecesOf(of, PIECE) : [await readTensor(stored)]) {
    count += countNonzero(data as Exclude<TensorArray, readonly string[]>);
  }
  return count;
}
