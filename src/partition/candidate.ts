import type { CostModel, Mode, Objective } from "../../schemas/plan.ts";
import { type Costs, costsOf, memoryLimit } from "./cost.ts";
import type { Network } from "./graph.ts";
import { totalCost } from "./greedy.ts";
import { memoryOf } from "./memory.ts";
import type { DeviceGroup } from "./mix.ts";
import type { SharePolicy } from "./shares.ts";
import { type Counts, rateOf, takePart } from "./subsets.ts";
import type { DeviceClass } from "./tree.ts";
import { hierarchyOf } from "./tree.ts";

/** What is planned, fixed for all candidates. */
export interface Question {
  readonly network: Network;
  readonly groups: readonly DeviceGroup[];
  readonly mode: Mode;
  readonly objective: Objective;
  readonly costModel: CostModel;
}

/** The cost tables of one set of devices with one policy of shares. */
export interface Arena {
  readonly groups: readonly DeviceGroup[];
  /** Index of each group in the mix. */
  readonly origin: readonly number[];
  readonly shares: SharePolicy;
  /** Seconds. */
  readonly time: Costs;
  /** What the search minimises: seconds, AccPar's elements, or for energy seconds with what links take. */
  readonly goal: Costs;
  /** Joules that links take. */
  readonly links: Costs;
}

/** A finished assignment and what it costs. */
export interface Candidate {
  readonly arena: Arena;
  readonly codes: readonly number[];
  readonly stepTime: number;
  /** Elements with AccPar's counting; otherwise seconds, joules or dollars a step by the objective. */
  readonly value: number;
  /** Bytes a device, by class. */
  readonly memory: Float64Array;
  readonly fits: boolean;
  /** The fullest device's need as a multiple of its memory; 0 where the plan fits, and with AccPar's counting. */
  readonly overflow: number;
}

export function arenaOf(question: Question, counts: Counts, shares: SharePolicy): Arena {
  const { groups, origin } = takePart(question.groups, counts);
  const hierarchy = hierarchyOf(groups);
  const { mode, network } = question;
  const accpar = question.costModel === "accpar";
  const common = { mode, shares, countsInputError: accpar } as const;
  const time = costsOf(network, hierarchy, { ...common, measure: "time" });
  const links = costsOf(network, hierarchy, { ...common, measure: "joules" });
  const linkPrice = linkPriceOf(question, groups);
  const goal = accpar
    ? costsOf(network, hierarchy, { ...common, measure: "elements" })
    : linkPrice > 0
      ? costsOf(network, hierarchy, { ...common, measure: "time", linkPrice })
      : time;
  return { groups, origin, shares, time, goal, links };
}

/** Seconds that a joule of the links is worth: what the devices could run for it. 0 where energy is not the objective. */
export function linkPriceOf({ objective }: Question, groups: readonly DeviceGroup[]): number {
  if (objective !== "energy") return 0;
  const takesEnergy = groups.some(
    ({ link, uplink }) => link.joules_per_byte > 0 || (uplink?.joules_per_byte ?? 0) > 0,
  );
  const watts = rateOf(groups, "energy");
  return takesEnergy && watts !== null && watts > 0 ? 1 / watts : 0;
}

/** Joules of a step: the watts of every device that takes part for the whole of it, and what the links take; null without watts. */
export function energyOf(
  { groups, links }: Arena,
  codes: readonly number[],
  stepTime: number,
): number | null {
  const watts = rateOf(groups, "energy");
  return watts === null ? null : watts * stepTime + totalCost(links, codes);
}

/** Dollars of a step: the price of every device that takes part, for the whole of it. */
export function priceOf({ groups }: Arena, stepTime: number): number | null {
  const rate = rateOf(groups, "cost");
  return rate === null ? null : rate * stepTime;
}

export function candidateOf(question: Question, arena: Arena, codes: readonly number[]): Candidate {
  const stepTime = totalCost(arena.time, codes);
  const { hierarchy } = arena.time;
  const memory = memoryOf(arena.time, codes, question.mode);
  const classes = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const fullest = Math.max(
    ...classes.map((device, c) => (memory[c] as number) / memoryLimit(device, hierarchy)),
  );
  return {
    arena,
    codes,
    stepTime,
    value: spentBy(question, arena, codes, stepTime),
    memory,
    fits: fullest <= 1,
    overflow: fullest > 1 && question.costModel !== "accpar" ? fullest : 0,
  };
}

function spentBy(question: Question, arena: Arena, codes: readonly number[], stepTime: number): number {
  if (question.costModel === "accpar") return totalCost(arena.goal, codes);
  if (question.objective === "time") return stepTime;
  const spent = question.objective === "energy" ? energyOf(arena, codes, stepTime) : priceOf(arena, stepTime);
  return spent ?? Number.POSITIVE_INFINITY;
}

/** The better of two: what fits before what does not, then lower value, shorter step, fewer devices. */
export function preferred(a: Candidate, b: Candidate): Candidate {
  if (a.overflow !== b.overflow) return a.overflow < b.overflow ? a : b;
  if (a.value !== b.value) return a.value < b.value ? a : b;
  if (a.stepTime !== b.stepTime) return a.stepTime < b.stepTime ? a : b;
  return devicesOf(b) < devicesOf(a) ? b : a;
}

function devicesOf({ arena }: Candidate): number {
  return arena.groups.reduce((sum, { count }) => sum + count, 0);
}
