import type { z } from "zod";
import type {
  KernelSharing,
  LayerOverride,
  LowRank,
  Quantization,
  Recipe,
  Sparsity,
} from "../../../schemas/recipe.ts";
import type { RegularizerName } from "../../kernels/kernels.ts";
import { UnknownLayerError, UnsupportedRecipeError } from "../errors.ts";
import type { PruningSolver } from "../sparsity/request.ts";
import type { NOfM } from "../treatment.ts";
import { matchesGlob } from "./glob.ts";

type SparsityRecipe = z.infer<typeof Sparsity>;
type SharingRecipe = z.infer<typeof KernelSharing>;
type LowRankRecipe = z.infer<typeof LowRank>;
type Override = z.infer<typeof LayerOverride>;

/** How a method is to be used on a layer: not at all, where the search finds it good, or exactly so. */
type Use<Figures> =
  | { readonly use: "no" }
  | { readonly use: "auto" }
  | ({ readonly use: "exactly" } & Figures);

/** Whether each layer has a first factor of its own, or the layers of a stage share one (stages/layer-stages.ts). */
type SharedUse<Figures> =
  | { readonly use: "no" }
  | (Exclude<Use<Figures>, { use: "no" }> & { readonly share: "layer" | "stage" });

/** How zeros are found, once it is known how many. */
export interface SparsityMeans {
  readonly solver: PruningSolver;
  readonly regularizer: RegularizerName | null;
  /** λ; null for the solver's own. */
  readonly strength: number | null;
}

export type SparsityPolicy = Use<
  SparsityMeans &
    (
      | { readonly pattern: NOfM }
      | {
          readonly pattern: "unstructured" | "block";
          readonly ratio: number;
          readonly scope: "layer" | "global";
        }
      /** As many zeros as the regulariser's strength makes. */
      | { readonly pattern: "unstructured"; readonly ratio: null; readonly scope: "layer" }
    )
>;
export type SharingPolicy = SharedUse<
  { readonly bases: number } | { readonly bases: "auto"; readonly energy: number }
>;
export type LowRankPolicy = SharedUse<{ readonly rank: number } | { readonly energy: number }>;
export type QuantizationPolicy = Use<z.infer<typeof Quantization>>;
/** Share of the channels that go, over the whole model; null where the search decides. */
export type ChannelPolicy = Use<{ readonly ratio: number }>;

export interface LayerPolicy {
  readonly skip: boolean;
  readonly sparsity: SparsityPolicy;
  readonly sharing: SharingPolicy;
  readonly lowRank: LowRankPolicy;
  readonly quantization: QuantizationPolicy;
}

/**
 * What a recipe means for this model. `explicit`: the recipe says exactly what to do, nothing is searched.
 * `search`: methods and strengths are chosen under the recipe's target or the fidelity guard.
 */
export interface Policy {
  readonly mode: "explicit" | "search";
  readonly channels: ChannelPolicy;
  readonly layers: ReadonlyMap<string, LayerPolicy>;
}

/** Share of the layer's output energy kept by a factorisation that is asked for without figures beside others that have them. */
const DEFAULT_ENERGY = 0.95;
/** Share of the channels that go where channel pruning is asked for without a figure beside others that have them. */
const DEFAULT_CHANNELS = 0.25;
const SUPPORTED = ["sparsity", "kernel_sharing", "low_rank", "channel_pruning", "quantization"];

/**
 * Reads a recipe against the model's layers.
 *
 * - A method with a figure (a ratio, a pattern N:M, a number of bases, a rank, an energy, a weight type) is used
 *   exactly so, on every layer, and methods that the recipe does not name are then left out. With a `target` the
 *   figure is what the search may choose or leave.
 * - `layers` refines single layers: entries are applied in their order, exact names after globs; an entry may use
 *   a method that `methods` does not list.
 *
 * @throws UnsupportedRecipeError for what contradicts itself or this version does not have
 * @throws UnknownLayerError when an entry of `layers` matches nothing
 */
export function policyOf(recipe: Recipe, layerNames: readonly string[]): Policy {
  checkSupported(recipe);
  const overrides = overridesOf(recipe, layerNames);
  const explicit =
    recipe.target === undefined &&
    (recipe.methods?.length === 0 || [recipe, ...Object.values(recipe.layers ?? {})].some(hasFigures));
  const layers = new Map<string, LayerPolicy>();
  for (const name of layerNames) {
    const override = overrides.get(name) ?? {};
    layers.set(name, {
      skip: override.skip ?? false,
      sparsity: sparsityPolicy(recipe, override, explicit),
      sharing: sharingPolicy(recipe, override, explicit),
      lowRank: lowRankPolicy(recipe, override, explicit),
      quantization: quantizationPolicy(recipe, override, explicit),
    });
  }
  return { mode: explicit ? "explicit" : "search", channels: channelPolicy(recipe, explicit), layers };
}

function hasFigures(part: Override | Recipe): boolean {
  return (
    hasSparsityFigure(part.sparsity) ||
    hasSharingFigure(part.kernel_sharing) ||
    hasRankFigure(part.low_rank) ||
    part.quantization !== undefined
  );
}

function hasSparsityFigure(sparsity: SparsityRecipe | undefined): boolean {
  return (
    sparsity?.ratio !== undefined ||
    sparsity?.strength !== undefined ||
    sparsity?.pattern === "2:4" ||
    sparsity?.pattern === "4:8"
  );
}

function hasSharingFigure(sharing: SharingRecipe | undefined): boolean {
  return typeof sharing?.bases === "number" || sharing?.energy !== undefined;
}

function hasRankFigure(lowRank: LowRankRecipe | undefined): boolean {
  return lowRank?.rank !== undefined || lowRank?.energy !== undefined;
}

/** Whether the recipe lists the method, or has a part for it, for this layer. */
function asked(recipe: Recipe, override: Override, method: "kernel_sharing" | "low_rank" | "quantization") {
  return Boolean(recipe.methods?.includes(method) || recipe[method] || override[method]);
}

function listed(recipe: Recipe, method: NonNullable<Recipe["methods"]>[number]): boolean {
  return recipe.methods?.includes(method) ?? true;
}

function sparsityPolicy(recipe: Recipe, override: Override, explicit: boolean): SparsityPolicy {
  if (!listed(recipe, "sparsity") && override.sparsity === undefined) return { use: "no" };
  const part = { ...recipe.sparsity, ...override.sparsity };
  const { pattern = "unstructured", ratio, scope = "layer" } = part;
  const means = meansOf(part, override.sparsity ?? {});
  const { strength } = means;
  if (pattern === "channel") return { use: "no" };
  if (pattern === "2:4" || pattern === "4:8") return { use: "exactly", pattern, ...means };
  if (ratio !== undefined) return { use: "exactly", pattern, ratio, scope, ...means };
  if (strength !== null && pattern === "unstructured") {
    return { use: "exactly", pattern, ratio: null, scope: "layer", ...means };
  }
  return { use: explicit ? "no" : "auto" };
}

/** Of the whole recipe's means and a layer's own those of the layer count where the two contradict each other. */
function meansOf(merged: SparsityRecipe, own: SparsityRecipe): SparsityMeans {
  const regularizer = merged.regularizer ?? null;
  const strength = merged.strength ?? null;
  const regularised = (part: Pick<SparsityRecipe, "regularizer" | "strength">) =>
    part.regularizer !== undefined || part.strength !== undefined;
  const wanted = own.solver ?? (regularised(own) ? "proximal" : merged.solver);
  const solver = wanted ?? (regularised(merged) ? "proximal" : "admm");
  return solver === "proximal"
    ? { solver, regularizer, strength }
    : { solver, regularizer: null, strength: null };
}

function sharingPolicy(recipe: Recipe, override: Override, explicit: boolean): SharingPolicy {
  const { share = "layer" } = { ...recipe.kernel_sharing, ...override.kernel_sharing };
  if (!listed(recipe, "kernel_sharing") && override.kernel_sharing === undefined) return { use: "no" };
  const figured = hasSharingFigure(override.kernel_sharing) ? override : recipe;
  const { bases, energy } = figured.kernel_sharing ?? {};
  if (typeof bases === "number") return { use: "exactly", bases, share };
  if (energy !== undefined) return { use: "exactly", bases: "auto", energy, share };
  if (!explicit) return { use: "auto", share };
  return asked(recipe, override, "kernel_sharing")
    ? { use: "exactly", bases: "auto", energy: DEFAULT_ENERGY, share }
    : { use: "no" };
}

function lowRankPolicy(recipe: Recipe, override: Override, explicit: boolean): LowRankPolicy {
  const { share = "layer" } = { ...recipe.low_rank, ...override.low_rank };
  if (!listed(recipe, "low_rank") && override.low_rank === undefined) return { use: "no" };
  const { rank, energy } = (hasRankFigure(override.low_rank) ? override : recipe).low_rank ?? {};
  if (rank !== undefined) return { use: "exactly", rank, share };
  if (energy !== undefined) return { use: "exactly", energy, share };
  if (!explicit) return { use: "auto", share };
  return asked(recipe, override, "low_rank")
    ? { use: "exactly", energy: DEFAULT_ENERGY, share }
    : { use: "no" };
}

function quantizationPolicy(recipe: Recipe, override: Override, explicit: boolean): QuantizationPolicy {
  if (!listed(recipe, "quantization") && override.quantization === undefined) return { use: "no" };
  const part = override.quantization ?? recipe.quantization;
  if (part !== undefined) return { use: "exactly", ...part };
  if (!explicit) return { use: "auto" };
  return asked(recipe, override, "quantization") ? { use: "exactly", weights: "int8" } : { use: "no" };
}

function channelPolicy(recipe: Recipe, explicit: boolean): ChannelPolicy {
  const { pattern, ratio } = recipe.sparsity ?? {};
  const either = listed(recipe, "sparsity") || listed(recipe, "channel_pruning");
  if (pattern === "channel" && ratio !== undefined && either) return { use: "exactly", ratio };
  if (!listed(recipe, "channel_pruning")) return { use: "no" };
  if (!explicit) return { use: "auto" };
  return recipe.methods?.includes("channel_pruning")
    ? { use: "exactly", ratio: DEFAULT_CHANNELS }
    : { use: "no" };
}

function overridesOf(recipe: Recipe, layerNames: readonly string[]): Map<string, Override> {
  const overrides = new Map<string, Override>();
  const entries = Object.entries(recipe.layers ?? {});
  const names = new Set(layerNames);
  const isName = ([pattern]: [string, Override]) => names.has(pattern);
  for (const [pattern, override] of [...entries.filter((e) => !isName(e)), ...entries.filter(isName)]) {
    const matched = names.has(pattern) ? [pattern] : layerNames.filter((name) => matchesGlob(pattern, name));
    if (matched.length === 0) throw new UnknownLayerError(pointer("layers", pattern), pattern);
    for (const name of matched) {
      const before = overrides.get(name);
      overrides.set(name, {
        ...before,
        ...override,
        sparsity: override.sparsity ? { ...before?.sparsity, ...override.sparsity } : before?.sparsity,
        kernel_sharing: override.kernel_sharing
          ? { ...before?.kernel_sharing, ...override.kernel_sharing }
          : before?.kernel_sharing,
      });
    }
  }
  return overrides;
}

function pointer(...parts: string[]): string {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** @throws UnsupportedRecipeError naming the field and what is supported */
export function checkSupported(recipe: Recipe): void {
  if (recipe.tune) throw new UnsupportedRecipeError("/tune", "tune", SUPPORTED);
  checkSparsity(recipe.sparsity, []);
  for (const [name, { sparsity }] of Object.entries(recipe.layers ?? {})) {
    const at = ["layers", name];
    checkSparsity(sparsity, at);
    if (sparsity?.pattern === "channel") {
      throw new UnsupportedRecipeError(
        pointer(...at, "sparsity", "pattern"),
        "pattern channel for single layers, since channels are shared by several,",
        ["pattern channel for the whole model"],
      );
    }
  }
}

function checkSparsity(sparsity: SparsityRecipe | undefined, at: string[]): void {
  const { pattern, ratio, solver, regularizer, strength } = sparsity ?? {};
  const field = (name: string) => pointer(...at, "sparsity", name);
  if ((pattern === "2:4" || pattern === "4:8") && ratio !== undefined && ratio !== 0.5) {
    throw new UnsupportedRecipeError(field("ratio"), `ratio ${ratio} with pattern ${pattern}`, ["ratio 0.5"]);
  }
  if (regularizer !== undefined && solver !== undefined && solver !== "proximal") {
    throw new UnsupportedRecipeError(field("regularizer"), `a regularizer with solver ${solver}`, [
      "solver proximal",
    ]);
  }
  if (strength !== undefined && solver !== undefined && solver !== "proximal") {
    throw new UnsupportedRecipeError(field("strength"), `a strength with solver ${solver}`, [
      "solver proximal",
    ]);
  }
  if (strength !== undefined && ratio === undefined && (pattern === "block" || pattern === "channel")) {
    throw new UnsupportedRecipeError(field("strength"), `a strength without a ratio for pattern ${pattern}`, [
      "a ratio",
      "pattern unstructured",
    ]);
  }
}

/** Layers that take part in a ratio over the whole model, in order, with that ratio; null where the recipe has none. */
export function globalRatio(policies: ReadonlyMap<string, LayerPolicy>): {
  ratio: number;
  layers: string[];
} | null {
  const layers: string[] = [];
  let shared: number | null = null;
  for (const [name, { skip, sparsity }] of policies) {
    if (skip || sparsity.use !== "exactly" || !("scope" in sparsity)) continue;
    if (sparsity.scope !== "global" || sparsity.ratio === null) continue;
    shared ??= sparsity.ratio;
    if (sparsity.ratio === shared) layers.push(name);
  }
  return shared === null ? null : { ratio: shared, layers };
}
