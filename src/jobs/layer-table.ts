import type { Recipe } from "../../schemas/recipe.ts";
import { choicesOf, decideExplicit, globalRatio } from "../compress/allocate/choices.ts";
import { decide, type LayerChoices } from "../compress/allocate/decide.ts";
import { type Policy, policyOf } from "../compress/allocate/policy.ts";
import { type Probed, probeModel } from "../compress/allocate/probe.ts";
import { objectiveOf } from "../compress/allocate/target.ts";
import { assemble, type LayerSite } from "../compress/assemble.ts";
import { compressLayer, type LayerResult } from "../compress/compress-layer.ts";
import { factsOf, readWeight, siteOf } from "../compress/layer-of-model.ts";
import { globalZeros } from "../compress/sparsity/global.ts";
import type { Decision } from "../compress/treatment.ts";
import type { LayerWeight } from "../compress/weight.ts";
import { type Layer, listLayers } from "../onnx/layers.ts";
import type { Model } from "../onnx/model.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import { readTensor } from "../onnx/tensor.ts";
import { lazy } from "./workbench.ts";

const UNREACHED = "it is part of a branch or loop, and whether the samples reach it could not be found out";

/** What is needed to try single changes on a running model. */
export interface Probe {
  readonly layers: readonly Probed[];
  readonly model: Model;
  /** The input that takes each layer's weight, in order. */
  readonly inputs: readonly string[];
}

/** The layers of one model under one recipe: what may be done to each, and the doing. */
export class LayerTable {
  readonly policy: Policy;
  /** What may be done to each layer; reads every weight once, one at a time. */
  readonly choices = lazy(() => this.#choices());
  readonly #model: Model;
  readonly #layers: readonly Layer[];
  readonly #recipe: Recipe;

  private constructor(model: Model, layers: readonly Layer[], recipe: Recipe) {
    this.#model = model;
    this.#layers = layers;
    this.#recipe = recipe;
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

  get size(): number {
    return this.#layers.length;
  }

  /**
   * @param strength 0 … 1, see {@link decide}; null for an explicit recipe
   * @param choices of {@link LayerTable.choices}, or the same with measured losses
   */
  decisions(choices: readonly LayerChoices[], strength: number | null): Decision[] {
    return strength === null
      ? decideExplicit(choices)
      : decide(choices, objectiveOf(this.#recipe.target), strength);
  }

  /**
   * The choices where no layer could be probed: those in the bodies of If, Loop and Scan stay as they are, because
   * nobody knows whether the samples ever reach them.
   */
  async unconditional(): Promise<LayerChoices[]> {
    const choices = await this.choices();
    return choices.map((choice, i) =>
      this.#layers[i]!.uses.every(({ path }) => path.length === 0)
        ? choice
        : { ...choice, candidates: choice.candidates.slice(0, 1), reason: UNREACHED },
    );
  }

  /** The layers that may be treated, and the model with their weights as inputs. */
  async probe(): Promise<Probe> {
    const layers: Probed[] = [];
    const sites: LayerSite[] = [];
    const choices = await this.choices();
    for (const [i, layer] of this.#layers.entries()) {
      if (choices[i]!.candidates.length < 2) continue;
      sites.push(siteOf(layer));
      const load = async () => (await readWeight(layer)) as LayerWeight;
      layers.push({ choices: choices[i]!, facts: factsOf(layer), load });
    }
    return {
      layers,
      ...probeModel(
        this.#model,
        sites,
        layers.map(({ facts }) => facts),
      ),
    };
  }

  /** Carries out one decision. Reads that layer's weight and nothing else of the model. */
  async compress(decision: Decision): Promise<LayerResult> {
    const layer = this.#layers.find((one) => one.name === decision.layer);
    if (layer === undefined) throw new RangeError(`the model has no layer ${decision.layer}`);
    const weight = await readWeight(layer);
    return weight === undefined
      ? keptAsItIs(layer, decision)
      : compressLayer(factsOf(layer), weight, decision);
  }

  /** The model with the results in place; those that would make their layer larger are left out and named. */
  assemble(results: readonly LayerResult[]): { model: Model; dropped: readonly string[] } {
    return assemble(this.#model, this.#layers.map(siteOf), results);
  }

  async #choices(): Promise<LayerChoices[]> {
    const zeros = await this.#globalZeros();
    const choices: LayerChoices[] = [];
    for (const layer of this.#layers) {
      const policy = this.policy.layers.get(layer.name)!;
      choices.push(choicesOf(factsOf(layer), await readWeight(layer), policy, zeros?.get(layer.name)));
    }
    return choices;
  }

  async #globalZeros(): Promise<ReadonlyMap<string, number> | null> {
    const shared = globalRatio(this.policy.layers);
    if (shared === null) return null;
    const names = new Set(shared.layers);
    const weights = [];
    for (const layer of this.#layers) {
      if (!names.has(layer.name) || (await readWeight(layer)) === undefined) continue;
      const load = async () => ((await readWeight(layer)) as LayerWeight).values;
      weights.push({ layer: layer.name, count: layer.parameters, load });
    }
    return globalZeros(weights, shared.ratio);
  }
}

/** A layer whose weight no method takes. */
async function keptAsItIs(layer: Layer, { reason }: Decision): Promise<LayerResult> {
  const same = <T>(figure: T) => ({ original: figure, compressed: figure });
  return {
    layer: layer.name,
    op: layer.op,
    treatment: { method: "none" },
    reason,
    stats: {
      bytes: same(layer.bytes),
      parameters: same(layer.parameters),
      nonzero: same(await nonzeroOf(layer)),
      macs: same(layer.macs),
      weightError: 0,
    },
    tensors: [],
  };
}

/** Stored numbers of a layer that are not zero, whatever their type; its weight is read. */
export async function nonzeroOf({ weight }: Layer): Promise<number> {
  const { tensor } = weight.holder;
  const { data } = await readTensor("values" in tensor ? tensor.values : tensor);
  let count = 0;
  for (const number of data) if (number !== 0 && number !== 0n) count += 1;
  return count;
}
