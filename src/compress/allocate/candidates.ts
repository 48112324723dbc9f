import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { convolutionMacs, convolutionTime, formWork, NODE_BYTES } from "../kernel-sharing/cost.ts";
import { coefficients, sharedKernels } from "../kernel-sharing/decompose.ts";
import type { LayerFacts, SharingFacts } from "../layer-facts.ts";
import { expectedSparseBytes } from "../sparsity/storage.ts";
import type { Candidate, SharingForm } from "../treatment.ts";
import { energy, itemBytes, type LayerWeight } from "../weight.ts";

/** Shares of zeros offered for a weight: sparse storage pays from a third on. */
const WEIGHT_RATIOS = [...range(0.34, 0.9, 0.02), ...range(0.9, 0.99, 0.01)];
const COEFFICIENT_RATIOS = [0, ...range(0.36, 0.96, 0.04)];
/** Weights under this many elements are not worth an entry in a sparse table. */
const LEAST_ELEMENTS = 64;

/** Methods that an automatic choice may use for a layer. */
export interface Offered {
  readonly sparsity: boolean;
  readonly kernelSharing: boolean;
}

/** The layer as it is. */
export function untouched(facts: LayerFacts): Candidate {
  const time = facts.sharing.reason === null ? convolutionTime(facts.sharing.work) : null;
  return { treatment: { method: "none" }, bytes: facts.bytes, macs: facts.macs, time, error: 0 };
}

/**
 * What an automatic choice may do to a layer, the layer as it is first: only what makes it smaller and, by the
 * cost model, not slower, and of that only what no other candidate beats in everything.
 */
export function candidatesOf(
  facts: LayerFacts,
  weight: LayerWeight | undefined,
  offered: Offered,
): Candidate[] {
  const none = untouched(facts);
  if (weight === undefined || facts.fixed !== null || weight.values.length < LEAST_ELEMENTS) return [none];
  const total = energy(weight.values);
  if (!Number.isFinite(total) || total === 0) return [none];
  const found: Candidate[] = [];
  if (offered.sparsity) found.push(...sparsityCandidates(facts, weight, none, total));
  if (offered.kernelSharing && facts.sharing.reason === null) {
    found.push(...sharingCandidates(facts.sharing, weight, offered.sparsity, total));
  }
  const paying = found.filter((c) => c.bytes < none.bytes && (c.time ?? 0) <= (none.time ?? 0));
  return [none, ...undominated(paying)];
}

function sparsityCandidates(
  facts: LayerFacts,
  weight: LayerWeight,
  none: Candidate,
  total: number,
): Candidate[] {
  const count = weight.values.length;
  const lost = smallestEnergy(weight.values);
  return WEIGHT_RATIOS.map((ratio) => {
    const zeros = Math.round(ratio * count);
    return {
      treatment: { method: "sparsity", pattern: "unstructured", zeros },
      bytes: expectedSparseBytes(count, count - zeros, itemBytes(facts.dataType)!),
      macs: none.macs,
      time: none.time,
      error: lost(zeros) / total,
    };
  });
}

function sharingCandidates(
  sharing: SharingFacts,
  weight: LayerWeight,
  sparse: boolean,
  total: number,
): Candidate[] {
  const { work } = sharing;
  const shared = sharedKernels(weight.values, work.kernel);
  const found: Candidate[] = [];
  const dense = convolutionTime(work);
  for (const bases of baseCounts(work.kernel)) {
    const form = fasterForm(sharing, bases);
    const parts = formWork(work, bases, form);
    const time = parts.reduce((sum, part) => sum + convolutionTime(part), 0);
    if (time > dense) break;
    const macs = sharing.known ? parts.reduce((sum, part) => sum + convolutionMacs(part), 0) : null;
    const c = coefficients(weight.values, shared, bases);
    const lost = smallestEnergy(c);
    for (const ratio of sparse ? COEFFICIENT_RATIOS : [0]) {
      const zeros = Math.round(ratio * c.length);
      found.push({
        treatment: {
          method: "kernel_sharing",
          bases,
          form,
          sparsity: zeros > 0 ? { method: "sparsity", pattern: "unstructured", zeros } : null,
        },
        bytes: sharingBytes(sharing, bases, form, zeros, itemBytes(weight.dataType)!),
        macs,
        time,
        error: shared.tail[bases]! + lost(zeros) / total,
      });
    }
  }
  return found;
}

/** Bytes of a shared layer's two weights in the file. */
export function sharingBytes(
  sharing: SharingFacts,
  bases: number,
  form: SharingForm,
  zeros: number,
  item: number,
): number {
  const { inputs, outputs, kernel } = sharing.work;
  const count = inputs * outputs * bases;
  const repeated = (form === "basis_first" ? inputs : outputs) * bases * kernel * item;
  return NODE_BYTES + repeated + Math.min(count * item, expectedSparseBytes(count, count - zeros, item));
}

/** The form that the cost model finds faster; the basis first where both are equal or strides forbid the other. */
export function fasterForm(sharing: SharingFacts, bases: number): SharingForm {
  const time = (form: SharingForm) =>
    formWork(sharing.work, bases, form).reduce((sum, part) => sum + convolutionTime(part), 0);
  return sharing.unitStrides && time("coefficients_first") < time("basis_first")
    ? "coefficients_first"
    : "basis_first";
}

/** Numbers of basis kernels that are tried: all of them for small kernels, ever wider steps for large ones. */
function baseCounts(kernel: number): number[] {
  const counts: number[] = [];
  for (let d = 1; d < kernel; d += d < 9 ? 1 : d < 24 ? 3 : 8) counts.push(d);
  return counts;
}

/** Σw² of the n smallest magnitudes, for any n, after one sort. */
function smallestEnergy(values: FloatArray): (n: number) => number {
  const sorted = Float32Array.from(values, (value) => Math.abs(value)).sort();
  const sums = new Float64Array(sorted.length + 1);
  for (let i = 0; i < sorted.length; i++) sums[i + 1] = sums[i]! + sorted[i]! * sorted[i]!;
  return (n) => sums[n]!;
}

/** Those for which no other is at least as good in bytes, time and error. */
function undominated(candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(
    (a, i) =>
      !candidates.some(
        (b, j) =>
          j !== i &&
          b.bytes <= a.bytes &&
          (b.time ?? 0) <= (a.time ?? 0) &&
          b.error <= a.error &&
          (b.bytes < a.bytes || (b.time ?? 0) < (a.time ?? 0) || b.error < a.error || j < i),
      ),
  );
}

/** from, from + step, … below `to`, rounded to hundredths. */
function range(from: number, to: number, step: number): number[] {
  const count = Math.round((to - from) / step);
  return Array.from({ length: count }, (_, i) => Math.round((from + i * step) * 100) / 100);
}
