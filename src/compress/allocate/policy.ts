import type { z } from "zod";
import type { KernelSharing, LayerOverride, Recipe, Sparsity } from "../../../schemas/recipe.ts";
import { UnknownLayerError, UnsupportedRecipeError } from "../errors.ts";
import type { NOfM } from "../sparsity/prune.ts";
import { matchesGlob } from "./glob.ts";

type SparsityRecipe = z.infer<typeof Sparsity>;
type SharingRecipe = z.infer<typeof KernelSharing>;
type Override = z.infer<typeof LayerOverride>;

/** How a method is to be used on a layer: not at all, where the search finds it good, or exactly so. */
export type SparsityPolicy =
  | { readonly use: "no" }
  | { readonly use: "auto" }
  | { readonly use: "exactly"; readonly pattern: NOfM }
  | {
      readonly use: "exactly";
      readonly pattern: "unstructured";
      readonly ratio: number;
      readonly scope: "layer" | "global";
    };

export type SharingPolicy =
  | { readonly use: "no" }
  | { readonly use: "auto" }
  | { readonly use: "exactly"; readonly bases: number }
  | { readonly use: "exactly"; readonly bases: "auto"; readonly energy: number };

export interface LayerPolicy {
  readonly skip: boolean;
  readonly sparsity: SparsityPolicy;
  readonly sharing: SharingPolicy;
}

/**
 * What a recipe means for this model. `explicit`: the recipe says exactly what to do, nothing is searched.
 * `search`: methods and strengths are chosen under the recipe's target or the fidelity guard.
 */
export interface Policy {
  readonly mode: "explicit" | "search";
  readonly layers: ReadonlyMap<string, LayerPolicy>;
}

/** Share of ‖W‖² kept by a kernel-sharing method that is asked for without figures beside others that have them. */
const DEFAULT_ENERGY = 0.95;
const METHODS = ["sparsity", "kernel_sharing"] as const;
const PATTERNS = ["unstructured", "2:4", "4:8"] as const;

/**
 * Reads a recipe against the model's layers.
 *
 * - A method with a figure (a ratio, a pattern N:M, a number of bases, an energy) is used exactly so, on every
 *   layer, and methods that the recipe does not name are then left out. With a `target` the figure is what
 *   the search may choose or leave.
 * - `layers` refines single layers: entries are applied in their order, exact names after globs; an entry may use
 *   a method that `methods` does not list.
 *
 * @throws UnsupportedRecipeError for methods, patterns and solvers that this version does not have
 * @throws UnknownLayerError when an entry of `layers` matches nothing
 */
export function policyOf(recipe: Recipe, layerNames: readonly string[]): Policy {
  checkSupported(recipe);
  const overrides = overridesOf(recipe, layerNames);
  const exact = [recipe, ...Object.values(recipe.layers ?? {})].some(
    (part) => exactSparsity(part.sparsity) || exactSharing(part.kernel_sharing),
  );
  const explicit = (exact || recipe.methods?.length === 0) && recipe.target === undefined;
  const layers = new Map<string, LayerPolicy>();
  for (const name of layerNames) {
    const override = overrides.get(name) ?? {};
    layers.set(name, {
      skip: override.skip ?? false,
      sparsity: sparsityPolicy(recipe, override, explicit),
      sharing: sharingPolicy(recipe, override, explicit),
    });
  }
  return { mode: explicit ? "explicit" : "search", layers };
}

function sparsityPolicy(recipe: Recipe, override: Override, explicit: boolean): SparsityPolicy {
  const listed = recipe.methods?.includes("sparsity") ?? true;
  if (!listed && override.sparsity === undefined) return { use: "no" };
  const { pattern = "unstructured", ratio, scope = "layer" } = { ...recipe.sparsity, ...override.sparsity };
  if (pattern === "2:4" || pattern === "4:8") return { use: "exactly", pattern };
  if (ratio !== undefined) return { use: "exactly", pattern: "unstructured", ratio, scope };
  return { use: explicit ? "no" : "auto" };
}

function sharingPolicy(recipe: Recipe, override: Override, explicit: boolean): SharingPolicy {
  const listed = recipe.methods?.includes("kernel_sharing") ?? true;
  if (!listed && override.kernel_sharing === undefined) return { use: "no" };
  const { bases, energy } = { ...recipe.kernel_sharing, ...override.kernel_sharing };
  if (typeof bases === "number") return { use: "exactly", bases };
  if (energy !== undefined) return { use: "exactly", bases: "auto", energy };
  if (!explicit) return { use: "auto" };
  const asked =
    recipe.methods?.includes("kernel_sharing") ||
    recipe.kernel_sharing !== undefined ||
    override.kernel_sharing !== undefined;
  return asked ? { use: "exactly", bases: "auto", energy: DEFAULT_ENERGY } : { use: "no" };
}

function exactSparsity(sparsity: SparsityRecipe | undefined): boolean {
  return sparsity?.ratio !== undefined || sparsity?.pattern === "2:4" || sparsity?.pattern === "4:8";
}

function exactSharing(sharing: SharingRecipe | undefined): boolean {
  return typeof sharing?.bases === "number" || sharing?.energy !== undefined;
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
  recipe.methods?.forEach((method, index) => {
    if (!METHODS.some((known) => known === method)) {
      throw new UnsupportedRecipeError(pointer("methods", String(index)), `method ${method}`, METHODS);
    }
  });
  if (recipe.tune) throw new UnsupportedRecipeError("/tune", "tune", METHODS);
  checkPart(recipe, []);
  for (const [name, override] of Object.entries(recipe.layers ?? {})) checkPart(override, ["layers", name]);
}

function checkPart(part: Omit<Override, "skip">, at: string[]): void {
  for (const method of ["low_rank", "quantization"] as const) {
    if (part[method]) throw new UnsupportedRecipeError(pointer(...at, method), `method ${method}`, METHODS);
  }
  const { pattern, solver, regularizer, strength, ratio } = part.sparsity ?? {};
  const field = (name: string) => pointer(...at, "sparsity", name);
  if (pattern === "block" || pattern === "channel") {
    throw new UnsupportedRecipeError(field("pattern"), `pattern ${pattern}`, PATTERNS);
  }
  if ((pattern === "2:4" || pattern === "4:8") && ratio !== undefined && ratio !== 0.5) {
    throw new UnsupportedRecipeError(field("ratio"), `ratio ${ratio} with pattern ${pattern}`, ["ratio 0.5"]);
  }
  if (solver !== undefined && solver !== "magnitude") {
    throw new UnsupportedRecipeError(field("solver"), `solver ${solver}`, ["magnitude"]);
  }
  if (regularizer !== undefined) {
    throw new UnsupportedRecipeError(field("regularizer"), `regularizer ${regularizer}`, ["none"]);
  }
  if (strength !== undefined) {
    throw new UnsupportedRecipeError(field("strength"), "a regulariser's strength", ["none"]);
  }
  if (part.kernel_sharing?.share === "stage") {
    throw new UnsupportedRecipeError(pointer(...at, "kernel_sharing", "share"), "share stage", ["layer"]);
  }
}
