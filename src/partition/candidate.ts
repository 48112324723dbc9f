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
  /** What the cost model minimises: seconds, or AccPar's elements. */
  readonly goal: Costs;
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
  const time = costsOf(network, hierarchy, { mode, shares, measure: "time", countsInputError: accpar });
  const goal = accpar
    ? costsOf(network, hierarchy, { mode, shares, measure: "elements", countsInputError: true })
    : time;
  return { groups, origin, shares, time, goal };
}

export function candidateOf(question: Question, arena: Arena, codes: readonly number[]): Candidate {
  const stepTime = totalCost(arena.time, codes);
  const { hierarchy } = arena.time;
  const memory = memoryOf(arena.time, codes, question.mode);
  const classes = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const fullest = Math.max(
    ...classes.map((device, c) => (memory[c] as number) / memoryLimit(device, hierarchy)),
  );
  const rate = rateOf(arena.groups, question.objective) ?? Number.POSITIVE_INFINITY;
  return {
    arena,
    codes,
    stepTime,
    value: question.costModel === "accpar" ? totalCost(arena.goal, codes) : stepTime * rate,
    memory,
    fits: fullest <= 1,
    overflow: fullest > 1 && question.costModel !== "accpar" ? fullest : 0,
  };
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
