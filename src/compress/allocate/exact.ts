import { convolutionMacs, convolutionTime, formWork } from "../kernel-sharing/cost.ts";
import { basesForEnergy, sharedKernels } from "../kernel-sharing/decompose.ts";
import { coefficientWeight } from "../kernel-sharing/forms.ts";
import type { LayerFacts } from "../layer-facts.ts";
import { sparsify } from "../sparsity/apply.ts";
import { expectedSparseBytes } from "../sparsity/storage.ts";
import type { Candidate, SparsityTreatment } from "../treatment.ts";
import { countNonzero, energy, itemBytes, type LayerWeight, relativeError } from "../weight.ts";
import { fasterForm, sharingBytes, untouched } from "./candidates.ts";
import type { LayerPolicy, SparsityPolicy } from "./policy.ts";

/** What an explicit recipe does to a layer; no candidate where nothing is to be done, and then `reason` says why. */
export interface ExactChoice {
  readonly candidate: Candidate | null;
  readonly reason: string | null;
}

/**
 * The one treatment that the recipe's figures name for this layer. Zeros are set as asked, even where the file
 * does not get smaller by them; kernel sharing is done only where it makes the layer smaller and not slower.
 *
 * @param globalZeros this layer's zeros under a global ratio
 */
export function exactChoice(
  facts: LayerFacts,
  weight: LayerWeight | undefined,
  policy: LayerPolicy,
  globalZeros?: number,
): ExactChoice {
  if (weight === undefined) return { candidate: null, reason: "weights of this type are not compressed" };
  const total = energy(weight.values);
  if (!Number.isFinite(total)) return { candidate: null, reason: "its weight has infinities or NaN" };
  const sharing = sharingChoice(facts, weight, policy);
  if (sharing.candidate !== null || policy.sparsity.use !== "exactly") return sharing;
  const treatment = zerosFor(policy.sparsity, weight.values.length, globalZeros)!;
  const changed = sparsify(weight.values, weight.dims, facts.inputAxis, treatment);
  const item = itemBytes(facts.dataType)!;
  const bytes = expectedSparseBytes(changed.length, countNonzero(changed), item);
  return {
    candidate: {
      ...untouched(facts),
      treatment,
      bytes: Math.min(bytes, facts.bytes),
      error: relativeError(weight.values, changed),
    },
    reason: sharing.reason,
  };
}

function sharingChoice(facts: LayerFacts, weight: LayerWeight, policy: LayerPolicy): ExactChoice {
  if (policy.sharing.use !== "exactly") return { candidate: null, reason: null };
  if (facts.sharing.reason !== null) return { candidate: null, reason: facts.sharing.reason };
  const { work, known } = facts.sharing;
  const shared = sharedKernels(weight.values, work.kernel);
  const { sharing } = policy;
  const bases =
    sharing.bases === "auto" ? basesForEnergy(shared, sharing.energy) : Math.min(sharing.bases, work.kernel);
  const form = fasterForm(facts.sharing, bases);
  const parts = formWork(work, bases, form);
  const time = parts.reduce((sum, part) => sum + convolutionTime(part), 0);
  const { dims, values: c } = coefficientWeight(weight.values, shared, work, bases, form);
  const sparsity = zerosFor(policy.sparsity, c.length);
  const sparse = sparsity ? sparsify(c, dims, 1, sparsity) : c;
  const total = energy(weight.values);
  const bytes = sharingBytes(
    facts.sharing,
    bases,
    form,
    c.length - countNonzero(sparse),
    itemBytes(facts.dataType)!,
  );
  if (bytes >= facts.bytes) return { candidate: null, reason: `${bases} basis kernels would make it larger` };
  if (time > convolutionTime(work)) {
    return { candidate: null, reason: `${bases} basis kernels would make it slower` };
  }
  return {
    candidate: {
      treatment: { method: "kernel_sharing", bases, form, sparsity },
      bytes,
      macs: known ? parts.reduce((sum, part) => sum + convolutionMacs(part), 0) : null,
      time,
      error: total > 0 ? shared.tail[bases]! + (energy(c) - energy(sparse)) / total : 0,
    },
    reason: null,
  };
}

function zerosFor(policy: SparsityPolicy, count: number, globalZeros?: number): SparsityTreatment | null {
  if (policy.use !== "exactly") return null;
  if (policy.pattern !== "unstructured") return { method: "sparsity", pattern: policy.pattern };
  const zeros = globalZeros ?? Math.round(policy.ratio * count);
  return { method: "sparsity", pattern: "unstructured", zeros };
}
