import type { Kernels } from "../../kernels/kernels.ts";
import { bitsPerElement } from "../../onnx/data-type.ts";
import { chainOf, storedDims } from "../forms/chain.ts";
import { kernelElements } from "../forms/form.ts";
import type { SharedSolution } from "../forms/solution.ts";
import { prepareKernelSharing } from "../kernel-sharing/calibrated.ts";
import type { RuntimeKind } from "../kernel-sharing/rates.ts";
import { NODE_BYTES } from "../layer-cost.ts";
import type { LayerTreater } from "../layer-treater.ts";
import { prepareBasisSharing } from "../low-rank/basis-sharing.ts";
import type { BasisForm, SharingForm } from "../treatment.ts";
import type { LayerStage } from "./layer-stages.ts";
import type { StageOffer } from "./offer.ts";

/** Bases or ranks: so many of them, or the fewest with which every layer keeps that share of its output energy. */
export type StageSizes = readonly number[] | { readonly energy: number };

type Solver = (rank: number) => SharedSolution[];

/**
 * Solves the first factor that the layers of a stage share, for each size that is wanted. A layer takes part where what
 * is its own, with an equal part of what is shared, is smaller and not slower than it is now; where fewer than two do, there
 * is no offer. From the first factor each layer finds its own last one (withSharedKernels, withSharedBasis).
 *
 * @param treaters of the stage's layers
 * @param runtimes in which none of them may become slower
 */
export function solveStage(
  { name, kind }: Pick<LayerStage, "name" | "kind">,
  treaters: readonly LayerTreater[],
  sizes: StageSizes,
  runtimes: readonly RuntimeKind[],
  kernels: Kernels,
): StageOffer[] {
  const able = treaters.filter(({ untreatable }) => untreatable === null);
  if (able.length < 2) return [];
  const solvers = new Map<string, Solver>();
  const solverOf = (members: readonly LayerTreater[]): Solver => {
    const key = JSON.stringify(members.map(({ facts }) => facts.name));
    const solver = solvers.get(key) ?? prepared(kind, members, kernels);
    solvers.set(key, solver);
    return solver;
  };
  const wanted = "energy" in sizes ? [leastSize(able, solverOf(able), sizes.energy)] : sizes;
  return wanted.flatMap((size): StageOffer[] => {
    const order = orderFor(kind, size, able);
    const members = paying(formOf(kind, size, order), able, runtimes);
    const [solution] = members.length < 2 ? [] : solverOf(members)(size);
    if (!solution) return [];
    const { basis } = solution;
    const form = formOf(kind, basis.length / featuresOf(members[0]!), order);
    return [{ form: { ...form, stage: name }, layers: members.map(({ facts }) => facts.name), basis }];
  });
}

function prepared(kind: LayerStage["kind"], members: readonly LayerTreater[], kernels: Kernels): Solver {
  const layers = members.map(({ formLayer }) => formLayer);
  if (kind === "low_rank") {
    const solver = prepareBasisSharing(layers, kernels);
    return (rank) => solver.at(rank);
  }
  const solver = prepareKernelSharing(layers, kernels);
  return (bases) => solver.at(bases, "basis_first");
}

/** Columns of the first factor: k² of shared kernels, input features of a shared right factor. */
function featuresOf({ target, facts }: LayerTreater): number {
  return target!.geometry.kind === "convolution" ? kernelElements(target!) : facts.layout!.columns;
}

/** By bisection: more of it hardly ever keeps less. */
function leastSize(members: readonly LayerTreater[], solver: Solver, energy: number): number {
  let low = 1;
  let high = featuresOf(members[0]!);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (solver(middle).every(({ error }) => error <= 1 - energy)) high = middle;
    else low = middle + 1;
  }
  return high;
}

/** One for all, since the basis lies differently in the other: the one in which they are predicted to be faster. */
function orderFor(kind: LayerStage["kind"], size: number, members: readonly LayerTreater[]): SharingForm {
  if (kind === "low_rank") return "basis_first";
  const time = (order: SharingForm) =>
    members.reduce((sum, one) => sum + (one.timeOf(formOf(kind, size, order)) ?? 0), 0);
  return time("coefficients_first") < time("basis_first") ? "coefficients_first" : "basis_first";
}

function formOf(kind: LayerStage["kind"], size: number, order: SharingForm): BasisForm {
  return kind === "low_rank" ? { kind, rank: size } : { kind, order, bases: size };
}

/** Those that become smaller, by the numbers that are stored, and not slower; fewer of them bear more of what is shared. */
function paying(
  form: BasisForm,
  treaters: readonly LayerTreater[],
  runtimes: readonly RuntimeKind[],
): readonly LayerTreater[] {
  const pays = (treater: LayerTreater, sharers: number) => {
    const { facts, target } = treater;
    let bytes = 0;
    const steps = chainOf(form, target!);
    for (const [at, { weight }] of steps.entries()) {
      if (weight === null) continue;
      const elements = storedDims(weight).reduce((product, dim) => product * dim, 1);
      const size = (elements * bitsPerElement(facts.dataType)!) / 8;
      const shared = weight.role === "basis" || weight.role === "right";
      bytes += (shared ? size / sharers : size) + (at > 0 ? NODE_BYTES : 0);
    }
    return bytes < facts.bytes && !treater.slows(form, runtimes);
  };
  let members = treaters;
  for (;;) {
    const { length } = members;
    const kept = members.filter((one) => pays(one, length));
    if (kept.length === length) return kept;
    members = kept;
  }
}
