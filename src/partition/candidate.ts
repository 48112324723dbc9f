import type { CostModel, Mode, Objective, Serving } from "../../schemas/plan.ts";
import { type Costs, costsOf, memoryLimit } from "./cost.ts";
import { deviceTime, factsOf } from "./facts.ts";
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
  readonly serving: Serving;
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
  /** Seconds from one batch to the next: the step, or with overlapping steps what keeps the busiest device busy. */
  readonly period: number;
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

/** Joules of a batch: the watts of every device that takes part for the whole period, and what the links take; null without watts. */
export function energyOf({ arena, codes, period }: Finished): number | null {
  const watts = rateOf(arena.groups, "energy");
  return watts === null ? null : watts * period + totalCost(arena.links, codes);
}

/** Dollars of a batch: the price of every device that takes part, for the whole period; null without prices. */
export function priceOf({ arena, period }: Finished): number | null {
  const rate = rateOf(arena.groups, "cost");
  return rate === null ? null : rate * period;
}

/** Seconds of a step in which a device of each class computes or moves its own memory. */
export function busyOf({ network, mode }: Question, costs: Costs, codes: readonly number[]): Float64Array {
  const { hierarchy } = costs;
  const busy = new Float64Array((hierarchy.levels[hierarchy.depth] as readonly DeviceClass[]).length);
  const whole = new Float64Array(3);
  for (const [v, node] of network.nodes.entries()) {
    const facts = factsOf(node, hierarchy, mode);
    const parts = costs.parts(v, codes[v] as number);
    for (let c = 0; c < busy.length; c++) {
      busy[c] = (busy[c] as number) + deviceTime(facts, parts, c, whole);
    }
  }
  return busy;
}

/**
 * Seconds from one batch to the next: a step, or when steps overlap the time for which the busiest device computes or
 * for which it sends and receives, whichever is longer.
 */
function periodOf(question: Question, { time }: Arena, codes: readonly number[], stepTime: number): number {
  if (question.serving === "latency") return stepTime;
  return Math.max(...busyOf(question, time, codes), ...time.moving(codes));
}

export function candidateOf(question: Question, arena: Arena, codes: readonly number[]): Candidate {
  const stepTime = totalCost(arena.time, codes);
  const { hierarchy } = arena.time;
  const memory = memoryOf(arena.time, codes, question.mode);
  const classes = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const fullest = Math.max(
    ...classes.map((device, c) => (memory[c] as number) / memoryLimit(device, hierarchy)),
  );
  const period = periodOf(question, arena, codes, stepTime);
  return {
    arena,
    codes,
    stepTime,
    period,
    value: spentBy(question, { arena, codes, period }),
    memory,
    fits: fullest <= 1,
    overflow: fullest > 1 && question.costModel !== "accpar" ? fullest : 0,
  };
}

function spentBy(question: Question, finished: Finished): number {
  if (question.costModel === "accpar") return totalCost(finished.arena.goal, finished.codes);
  if (question.objective === "time") return finished.period;
  const spent = question.objective === "energy" ? energyOf(finished) : priceOf(finished);
  return spent ?? Number.POSITIVE_INFINITY;
}

type Finished = Pick<Candidate, "arena" | "codes" | "period">;

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
