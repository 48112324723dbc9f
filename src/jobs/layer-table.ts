import type { Recipe } from "../../schemas/recipe.ts";
import { globalRatio, type Policy, policyOf } from "../compress/allocate/policy.ts";
import { assemble } from "../compress/assemble.ts";
import type { LayerFacts } from "../compress/layer-facts.ts";
import { factsOf, readBias, readWeight, siteOf } from "../compress/layer-of-model.ts";
import type { LayerResult } from "../compress/layer-result.ts";
import { globalZeros } from "../compress/sparsity/global.ts";
import type { LayerWeight } from "../compress/weight.ts";
import { type Layer, listLayers } from "../onnx/layers.ts";
import type { Model } from "../onnx/model.ts";
import { standardOpset } from "../onnx/scope.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import { readTensor } from "../onnx/tensor.ts";
import { lazy } from "./workbench.ts";

/** The layers of one model under one recipe. */
export class LayerTable {
  /** Shares of zeros of the layers that take part in a ratio over the whole model; reads their weights. */
  readonly globalRatios = lazy(() => this.#globalRatios());
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

  async #globalRatios(): Promise<ReadonlyMap<string, number>> {
    const shared = globalRatio(this.policy.layers);
    if (shared === null) return new Map();
    const weights = [];
    for (const [index, { name, parameters }] of this.layers.entries()) {
      if (!shared.layers.includes(name) || (await this.weight(index)) === undefined) continue;
      const load = async () => (await this.weight(index))!.values;
      weights.push({ layer: name, count: parameters, load });
    }
    const zeros = await globalZeros(weights, shared.ratio);
    return new Map(weights.map(({ layer, count }) => [layer, zeros.get(layer)! / Math.max(1, count)]));
  }

  /** The model with the results in place; those that would make their layer larger are left out and named. */
  assemble(results: readonly LayerResult[]): { model: Model; dropped: readonly string[] } {
    return assemble(this.model, this.layers.map(siteOf), results, this.opset);
  }
}

/** Stored numbers of a layer that are not zero, whatever their type; its weight is read. */
export async function nonzeroOf({ weight }: Layer): Promise<number> {
  const { tensor } = weight.holder;
  const { data } = await readTensor("values" in tensor ? tensor.values : tensor);
  let count = 0;
  for (const number of data) if (number !== 0 && number !== 0n) count += 1;
  return count;
}
