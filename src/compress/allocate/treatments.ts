import { type FormKind, type FormTarget, kernelElements, reasonAgainst } from "../forms/form.ts";
import type { LayerTreater } from "../layer-treater.ts";
import type { StageSizes } from "../stages/solve-stage.ts";
import type { BasisForm, ChainForm, SparsityTreatment, StorageTreatment, Treatment } from "../treatment.ts";
import { storageOf } from "./named-storage.ts";
import type { LayerPolicy, LowRankPolicy, Policy, SharingPolicy, SparsityPolicy } from "./policy.ts";

/** What is to be tried on a layer, and why nothing or not all of it is. */
export interface Treatments {
  readonly treatments: readonly Treatment[];
  readonly reason: string | null;
}

/** What is tried of each kind: less of it on larger layers, where each takes longer. */
interface Tried {
  /** Levels of integers, 8 to 2.3 bits. */
  readonly levels: readonly number[];
  /** Shares of zeros, and the levels of what is left. */
  readonly zeros: readonly number[];
  readonly sparseLevels: readonly number[];
  /** Ranks, as shares of the rank at which a factorisation stops to save anything; of Tucker's two, as shares of the channels. */
  readonly ranks: readonly number[];
  readonly formLevels: readonly number[];
  /** Numbers of basis kernels up to nine, the positions of a 3×3 kernel; more of larger ones. */
  readonly bases: readonly number[];
}

const SMALL: Tried = {
  levels: [255, 63, 31, 21, 15, 11, 7, 5],
  zeros: [0.35, 0.5, 0.65, 0.75, 0.83, 0.9, 0.95],
  sparseLevels: [63, 21, 9],
  ranks: [0.15, 0.3, 0.45, 0.6, 0.75, 0.9],
  formLevels: [255, 31, 15],
  bases: [1, 2, 3, 4, 5, 6, 7],
};
const MEDIUM: Tried = {
  levels: SMALL.levels,
  zeros: [0.5, 0.7, 0.85, 0.93],
  sparseLevels: [31, 11],
  ranks: [0.3, 0.45, 0.6, 0.8],
  formLevels: [63, 21],
  bases: SMALL.bases,
};
const LARGE: Tried = {
  levels: [255, 31, 21, 15, 11, 9],
  zeros: [0.5, 0.75, 0.9],
  sparseLevels: [21],
  ranks: [0.35, 0.65],
  formLevels: [63],
  bases: [2, 3, 5, 7],
};
/** Share of a kernel's positions up to which basis kernels save more than fewer bits would. */
const MOST_BASES = 0.8;
/** By rows · columns² of a layer's matrices, about the multiplications that a treatment takes, and by their elements. */
const SIZES = [
  { work: 5e7, elements: 5e4, tried: SMALL },
  { work: 1e8, elements: 1e5, tried: MEDIUM },
];
/** Work up to which a support by ADMM is worth its time; the greedy one of OBS takes a tenth of it on larger layers. */
const ADMM_WORK = 2e8;
/** Weights under this many elements are not worth a node. */
const LEAST_ELEMENTS = 64;

/** What the policy allows to be done to the layer: the treatments to choose from, or the one that an explicit recipe names. */
export function treatmentsFor(treater: LayerTreater, policy: Policy, layer: string): Treatments {
  const own = policy.layers.get(layer)!;
  const { untreatable } = treater;
  if (own.skip) return { treatments: [], reason: "the recipe skips it" };
  if (untreatable !== null) return { treatments: [], reason: untreatable };
  const exact = exactTreatment(treater, own);
  if (policy.mode === "explicit") {
    return { treatments: exact.treatment ? [exact.treatment] : [], reason: exact.reason };
  }
  if (treater.elements < LEAST_ELEMENTS) return { treatments: [], reason: "its weight is tiny" };
  const named = exact.treatment ? [exact.treatment] : [];
  return { treatments: [...openTreatments(treater, own), ...named], reason: exact.reason };
}

/** Every combination that may pay, of the methods that are left to choice. */
function openTreatments(treater: LayerTreater, policy: LayerPolicy): Treatment[] {
  const { tried } = SIZES.find(
    ({ work, elements }) => treater.work <= work && treater.elements <= elements,
  ) ?? { tried: LARGE };
  const free = policy.quantization.use === "auto";
  const storages = (levels: readonly number[]): (StorageTreatment | null)[] =>
    free ? levels.map((one) => integers(one)) : [storageOf(policy.quantization)];
  const found: Treatment[] = [];
  if (free) {
    found.push({ form: null, sparsity: null, storage: { kind: "half" } });
    for (const levels of tried.levels) found.push({ form: null, sparsity: null, storage: integers(levels) });
  }
  if (policy.sparsity.use === "auto") {
    for (const ratio of tried.zeros) {
      const sparsity = {
        pattern: "unstructured",
        ratio,
        solver: treater.work <= ADMM_WORK ? "admm" : "obs",
        regularizer: null,
        strength: null,
      } as const;
      for (const storage of storages(tried.sparseLevels)) found.push({ form: null, sparsity, storage });
      if (!free) found.push({ form: null, sparsity, storage: null });
    }
  }
  for (const form of openForms(treater, policy, tried)) {
    for (const storage of storages(tried.formLevels)) found.push({ form, sparsity: null, storage });
  }
  return found;
}

function integers(levels: number): StorageTreatment {
  return { kind: "integers", levels, group: null, decode: "folded" };
}

function openForms(treater: LayerTreater, policy: LayerPolicy, { ranks, bases }: Tried): ChainForm[] {
  const { facts, target, sharedForms } = treater;
  if (target === null || facts.rigid !== null) return [];
  const open = (kind: FormKind) => reasonAgainst(kind, target) === null;
  const asked = { kernel_sharing: policy.sharing, low_rank: policy.lowRank };
  const forms: ChainForm[] = sharedForms.filter(({ kind }) => asked[kind].use === "auto");
  if (policy.sharing.use === "auto" && open("kernel_sharing")) {
    for (const count of baseCounts(target, bases)) forms.push(sharingForm(treater, count));
  }
  if (policy.lowRank.use !== "auto") return forms;
  const { rows, columns } = facts.layout!;
  if (open("low_rank")) {
    for (const rank of ranksUpTo((rows * columns) / (rows + columns), ranks))
      forms.push({ kind: "low_rank", rank });
  }
  const kernel = target.dims.slice(2);
  const inputs = columns / kernelElements(target);
  if (open("spatial")) {
    for (const [axis, along] of kernel.entries()) {
      if (along === 1) continue;
      const across = kernelElements(target) / along;
      const most = (rows * columns) / (inputs * along + rows * across);
      for (const rank of ranksUpTo(most, ranks)) forms.push({ kind: "spatial", axis, rank });
    }
  }
  if (open("tucker")) {
    for (const share of ranks) {
      const [inputRank, outputRank] = [
        Math.max(1, Math.round(share * inputs)),
        Math.max(1, Math.round(share * rows)),
      ];
      const core = inputRank * outputRank * kernelElements(target);
      if (inputs * inputRank + core + outputRank * rows >= rows * columns) continue;
      forms.push({ kind: "tucker", inputRank, outputRank });
    }
  }
  return forms;
}

function ranksUpTo(most: number, shares: readonly number[]): number[] {
  return [...new Set(shares.map((share) => Math.round(share * most)))].filter((rank) => rank >= 1);
}

/** How many bases, or what ranks, a stage is to try: those that its recipe names, or enough to choose from. */
export function stageSizes(
  kind: BasisForm["kind"],
  treaters: readonly LayerTreater[],
  { sharing, lowRank }: LayerPolicy,
): StageSizes {
  const { target, facts } = treaters[0]!;
  if (kind === "kernel_sharing") {
    if (sharing.use !== "exactly") return baseCounts(target!, SMALL.bases);
    return sharing.bases === "auto" ? sharing : [Math.min(sharing.bases, kernelElements(target!))];
  }
  const { columns } = facts.layout!;
  const rows = treaters.reduce((sum, one) => sum + one.facts.layout!.rows * one.facts.layout!.count, 0);
  if (lowRank.use !== "exactly") return ranksUpTo((rows * columns) / (rows + columns), SMALL.ranks);
  return "energy" in lowRank ? lowRank : [Math.min(lowRank.rank, columns)];
}

/** Numbers of basis kernels that are tried: these, and in ever wider steps more for large kernels. */
function baseCounts(target: FormTarget, upToNine: readonly number[]): number[] {
  const most = MOST_BASES * kernelElements(target);
  const counts = upToNine.filter((count) => count <= most);
  for (let count = 9; count <= most; count += count < 24 ? 3 : 8) counts.push(count);
  return counts;
}

/** The one treatment that the recipe's figures name; null where they name none for this layer. */
function exactTreatment(
  treater: LayerTreater,
  policy: LayerPolicy,
): { treatment: Treatment | null; reason: string | null } {
  const { form, reason } = exactForm(treater, policy);
  const sparsity = sparsityOf(policy.sparsity, treater);
  const storage = storageOf(policy.quantization);
  const treatment = { form, sparsity, storage };
  return { treatment: form || sparsity || storage ? treatment : null, reason };
}

/** The form that is asked for, where it makes the layer smaller and not slower; kernel sharing before low rank. */
function exactForm(
  treater: LayerTreater,
  { sharing, lowRank }: LayerPolicy,
): { form: ChainForm | null; reason: string | null } {
  const reasons: string[] = [];
  for (const kind of ["kernel_sharing", "low_rank"] as const) {
    const policy = kind === "kernel_sharing" ? sharing : lowRank;
    if (policy.use !== "exactly") continue;
    const against =
      treater.facts.rigid ??
      (treater.target ? reasonAgainst(kind, treater.target) : "it is a table that is looked up");
    if (against !== null) {
      reasons.push(against);
      continue;
    }
    const shared = treater.sharedForms.find((one) => one.kind === kind);
    if (shared) return { form: shared, reason: null };
    const form =
      policy === sharing ? sharedForm(treater, sharing) : lowRankForm(treater, lowRank as LowRankPolicy);
    const untouched = treater.treat({ form: null, sparsity: null, storage: null }).candidate;
    const { candidate } = treater.treat({ form, sparsity: null, storage: null });
    const named = kind === "kernel_sharing" ? "that many basis kernels" : "that rank";
    if (candidate.bytes >= untouched.bytes) reasons.push(`${named} would make it larger`);
    else if (treater.slows(form, ["web"])) reasons.push(`${named} would make it slower`);
    else return { form, reason: null };
  }
  return { form: null, reason: reasons[0] ?? null };
}

/** In the order that is predicted to be faster: both hold the same numbers. */
function sharingForm(treater: LayerTreater, bases: number): ChainForm {
  const orders = ["basis_first", "coefficients_first"] as const;
  const forms = orders.map((order): ChainForm => ({ kind: "kernel_sharing", order, bases }));
  const unslowed = forms.filter((form) => !treater.slows(form));
  const time = (form: ChainForm) => treater.timeOf(form) ?? 0;
  return (unslowed.length > 0 ? unslowed : forms).reduce((a, b) => (time(b) < time(a) ? b : a));
}

function sharedForm(treater: LayerTreater, policy: SharingPolicy): ChainForm {
  if (policy.use !== "exactly") throw new RangeError("no bases are named");
  const kernel = kernelElements(treater.target!);
  const at = (bases: number) => sharingForm(treater, bases);
  if (policy.bases !== "auto") return at(Math.min(policy.bases, kernel));
  const { energy } = policy;
  return leastForm(kernel, energy, at, treater);
}

function lowRankForm(treater: LayerTreater, policy: LowRankPolicy): ChainForm {
  if (policy.use !== "exactly") throw new RangeError("no rank is named");
  const { rows, columns } = treater.facts.layout!;
  const most = Math.min(rows, columns);
  const at = (rank: number): ChainForm => ({ kind: "low_rank", rank });
  return "rank" in policy ? at(Math.min(policy.rank, most)) : leastForm(most, policy.energy, at, treater);
}

/** The smallest form that keeps the share of the layer's output energy, by bisection: more of it never keeps less. */
function leastForm(
  most: number,
  energy: number,
  at: (size: number) => ChainForm,
  treater: LayerTreater,
): ChainForm {
  let low = 1;
  let high = most;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (treater.errorOf(at(middle)) <= 1 - energy) high = middle;
    else low = middle + 1;
  }
  return at(high);
}

function sparsityOf(policy: SparsityPolicy, treater: LayerTreater): SparsityTreatment | null {
  if (policy.use !== "exactly") return null;
  const { pattern, solver, regularizer, strength } = policy;
  const means = { solver, regularizer, strength };
  if (!("ratio" in policy)) return { pattern, ratio: null, ...means };
  return { pattern, ratio: treater.globalRatio ?? policy.ratio, ...means };
}
