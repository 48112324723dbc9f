import type { FloatArray } from "../kernels/reference/matmul.ts";
import { sharedKernels } from "./kernel-sharing/decompose.ts";
import { basisWeight, coefficientWeight, reconstructed } from "./kernel-sharing/forms.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { sparsify } from "./sparsity/apply.ts";
import type { Treatment } from "./treatment.ts";
import type { LayerWeight } from "./weight.ts";

/**
 * The dense weight that computes what the treated layer computes, in the shape of the original. For probing
 * a treatment without editing the graph.
 */
export function effectiveWeight(facts: LayerFacts, weight: LayerWeight, treatment: Treatment): FloatArray {
  if (treatment.method === "none") return weight.values;
  if (treatment.method === "sparsity") {
    return sparsify(weight.values, weight.dims, facts.inputAxis, treatment);
  }
  if (facts.sharing.reason !== null) throw new RangeError(`layer ${facts.name} has no kernels to share`);
  const { work } = facts.sharing;
  const { bases, form, sparsity } = treatment;
  const shared = sharedKernels(weight.values, work.kernel);
  const b = basisWeight(shared, work, facts.dims.slice(2), bases, form);
  const c = coefficientWeight(weight.values, shared, work, bases, form);
  const kept = sparsity ? sparsify(c.values, c.dims, 1, sparsity) : c.values;
  return reconstructed(b.values, kept, work, bases, form);
}
