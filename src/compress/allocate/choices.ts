import type { LayerFacts } from "../layer-facts.ts";
import type { Decision } from "../treatment.ts";
import type { LayerWeight } from "../weight.ts";
import { candidatesOf, untouched } from "./candidates.ts";
import type { LayerChoices } from "./decide.ts";
import { exactChoice } from "./exact.ts";
import type { LayerPolicy } from "./policy.ts";

/**
 * What may be done to a layer under its policy: the candidates of the methods that are open to choice, and the one
 * treatment that the recipe's figures name. JSON.
 *
 * @param weight undefined where the layer's weight is not compressed (fixed, or of another type)
 * @param globalZeros this layer's zeros under a global ratio
 */
export function choicesOf(
  facts: LayerFacts,
  weight: LayerWeight | undefined,
  policy: LayerPolicy,
  globalZeros?: number,
): LayerChoices {
  const layer = facts.name;
  const stays = (reason: string): LayerChoices => ({ layer, candidates: [untouched(facts)], reason });
  if (policy.skip) return stays("the recipe skips it");
  if (facts.fixed !== null) return stays(facts.fixed);
  if (weight === undefined) return stays("weights of its type are not compressed");
  const exact = exactChoice(facts, weight, policy, globalZeros);
  const open = candidatesOf(facts, weight, {
    sparsity: policy.sparsity.use === "auto",
    kernelSharing: policy.sharing.use === "auto",
  });
  return { layer, candidates: exact.candidate ? [...open, exact.candidate] : open, reason: exact.reason };
}

/** Exactly what an explicit recipe says: each layer's named treatment where there is one. */
export function decideExplicit(choices: readonly LayerChoices[]): Decision[] {
  return choices.map(({ layer, candidates, reason }) => ({
    layer,
    treatment: candidates.at(-1)!.treatment,
    reason: reason ?? (candidates.length === 1 ? "the recipe names no method for it" : null),
  }));
}

/** Layers that take part in a global ratio, in order, with that ratio; null where the recipe has none. */
export function globalRatio(policies: ReadonlyMap<string, LayerPolicy>): {
  ratio: number;
  layers: string[];
} | null {
  const layers: string[] = [];
  let ratio: number | null = null;
  for (const [name, { skip, sparsity }] of policies) {
    if (skip || sparsity.use !== "exactly" || sparsity.pattern !== "unstructured") continue;
    if (sparsity.scope !== "global") continue;
    ratio ??= sparsity.ratio;
    if (sparsity.ratio === ratio) layers.push(name);
  }
  return ratio === null ? null : { ratio, layers };
}
