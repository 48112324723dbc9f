import type { Mix } from "../../schemas/mix.ts";
import type { Mode, Objective, Plan, PlanOptions } from "../../schemas/plan.ts";
import {
  type Arena,
  arenaOf,
  type Candidate,
  candidateOf,
  linkPriceOf,
  preferred,
  type Question,
} from "./candidate.ts";
import { costsOf } from "./cost.ts";
import { describePlan } from "./describe.ts";
import { MixError } from "./errors.ts";
import type { Network } from "./graph.ts";
import { greedy, SCHEMES, type Scheme } from "./greedy.ts";
import { checkMix, resolveMix } from "./mix.ts";
import { DEFAULT_LIMITS, searchTypes, THOROUGH_LIMITS } from "./search.ts";
import type { SharePolicy } from "./shares.ts";
import { type Counts, computeBound, rateOf, subsetsOf, takePart } from "./subsets.ts";

export type BaselineName = keyof Plan["baselines"];
export type Baselines = Readonly<Record<BaselineName, Candidate>>;

/** Parts of the mix that get a full search, beside the whole. */
const SEARCHED_SUBSETS = 3;

/** Shares by layer, and a part of the mix, are searched where its greedy plan costs less than this times the best so far. */
const HOPEFUL = 1.3;

/** The exact search gains a few percent on a rough one: more than this is not made up. */
const NEAR = 1.05;

/** When steps overlap, the longer of computing and moving counts: what moving weighs in the sums that are searched. */
const OVERLAPS = [0.1, 0.5, 1, 3];

/** Seconds for a full memory that the search tries, as multiples of the step, while a plan does not fit. */
const MEMORY_PRICES = [0.1, 1, 10, 100];

/**
 * Plans how to split a network over a mix. The plan is the best of Hone's own search and of every baseline that it
 * prints, so that it is never worse than one of them by its objective (step time, energy or price; with cost
 * model "accpar" elements moved), except where that baseline does not fit in memory. Deterministic.
 * @throws MixError when the mix makes no sense, or lacks a figure that the objective needs
 */
export function planNetwork(network: Network, mix: Mix, options: PlanOptions = {}): Plan {
  const checked = checkMix(mix);
  const costModel = options.cost_model ?? "hone";
  const question: Question = {
    network,
    groups: resolveMix(checked),
    mode: modeOf(options),
    objective: options.objective ?? "time",
    costModel,
    serving: options.serving ?? "latency",
  };
  requireFigures(question);
  const all = question.groups.map(({ count }) => count);
  const whole = arenasOf(question, all);
  const { equal, network: balanced, layer } = whole;
  const scheme = (arena: Arena, name: Scheme) =>
    candidateOf(question, arena, greedy(arena.goal, SCHEMES[name]));
  const baselines: Baselines = {
    data_parallel: scheme(equal, "data_parallel"),
    data_parallel_proportional: scheme(balanced, "data_parallel"),
    owt: scheme(equal, "owt"),
    hypar: scheme(equal, "hypar"),
    accpar: preferred(scheme(layer, "accpar"), scheme(balanced, "accpar")),
    one_device: oneDevice(question),
  };
  const own = bestOver(question, whole, Object.values(baselines));
  return describePlan(question, own, baselines, checked);
}

/** The mode that options ask for: AccPar's counting is about training. */
export function modeOf({ mode, cost_model }: PlanOptions): Mode {
  return mode ?? (cost_model === "accpar" ? "training" : "inference");
}

type Arenas = Readonly<Record<SharePolicy, Arena>>;

/** All policies of shares; with equal devices they are one. */
function arenasOf(question: Question, counts: Counts): Arenas {
  const equal = arenaOf(question, counts, "equal");
  if (equal.time.hierarchy.cuts.every((cut) => cut.alike)) return { equal, network: equal, layer: equal };
  return {
    equal,
    network: arenaOf(question, counts, "network"),
    layer: arenaOf(question, counts, "layer"),
  };
}

/** The whole mix, the baselines, and such parts of the mix as could still win. */
function bestOver(question: Question, whole: Arenas, baselines: readonly Candidate[]): Candidate {
  // Without a device there is no communication; AccPar's counting is about the whole array.
  const counted = question.costModel === "accpar" ? baselines.slice(0, -1) : baselines;
  let best = [...counted, searched(question, whole.network)].reduce(preferred);
  if (whole.layer !== whole.network) {
    const start = candidateOf(question, whole.layer, greedy(whole.layer.goal, SCHEMES.accpar));
    if (start.value < HOPEFUL * best.value) best = preferred(best, searched(question, whole.layer, best));
  }
  if (question.costModel === "accpar") return best;
  const { network, mode, objective } = question;
  const parts = subsetsOf(question.groups)
    .slice(1)
    .map((counts) => {
      const { groups } = takePart(question.groups, counts);
      const rate = rateOf(groups, objective) ?? Number.POSITIVE_INFINITY;
      return { counts, bound: rate * computeBound(network, groups, mode) };
    })
    .sort((a, b) => a.bound - b.bound);
  const promising = parts
    .filter(({ bound }) => best.overflow > 0 || bound < best.value)
    .slice(0, 3 * SEARCHED_SUBSETS)
    .map(({ counts }) => quick(question, counts))
    .sort((a, b) => a.overflow - b.overflow || a.value - b.value)
    .slice(0, SEARCHED_SUBSETS);
  for (const candidate of promising) {
    best = preferred(best, candidate);
    if (candidate.value < HOPEFUL * best.value) {
      best = preferred(best, searched(question, candidate.arena, best));
    }
  }
  return best;
}

function quick(question: Question, counts: Counts): Candidate {
  const arena = arenaOf(question, counts, "network");
  return candidateOf(question, arena, greedy(arena.goal, SCHEMES.accpar));
}

/** The joint search, thorough where it may become better than `other`; under a price for memory while the result does not fit. */
function searched(question: Question, arena: Arena, other?: Candidate): Candidate {
  if (question.costModel === "accpar") {
    return candidateOf(question, arena, searchTypes(arena.goal, THOROUGH_LIMITS));
  }
  const rate = rateOf(arena.groups, question.objective) ?? Number.POSITIVE_INFINITY;
  const comparable = other?.overflow === 0 && question.serving === "latency";
  const hopeful = comparable ? (NEAR * other.value) / rate : Number.POSITIVE_INFINITY;
  let best = candidateOf(question, arena, searchTypes(arena.goal, DEFAULT_LIMITS, hopeful));
  for (const overlap of question.serving === "throughput" ? OVERLAPS : []) {
    const weighted = costsOf(question.network, arena.time.hierarchy, {
      mode: question.mode,
      shares: arena.shares,
      measure: "time",
      countsInputError: false,
      linkPrice: linkPriceOf(question, arena.groups),
      overlap,
    });
    best = preferred(best, candidateOf(question, arena, searchTypes(weighted)));
  }
  for (const price of MEMORY_PRICES) {
    if (best.overflow === 0) break;
    const priced = costsOf(question.network, arena.time.hierarchy, {
      mode: question.mode,
      shares: arena.shares,
      measure: "time",
      countsInputError: false,
      memoryPrice: price * best.stepTime,
      linkPrice: linkPriceOf(question, arena.groups),
    });
    best = preferred(best, candidateOf(question, arena, searchTypes(priced)));
  }
  return best;
}

/** The best single device of the mix. */
function oneDevice(question: Question): Candidate {
  const { groups, network } = question;
  return groups
    .map((_, g) =>
      arenaOf(
        question,
        groups.map((_, other) => (other === g ? 1 : 0)),
        "equal",
      ),
    )
    .map((arena) =>
      candidateOf(
        question,
        arena,
        network.nodes.map(() => 0),
      ),
    )
    .reduce((a, b) => {
      if (a.overflow !== b.overflow) return a.overflow < b.overflow ? a : b;
      return b.stepTime < a.stepTime ? b : a;
    });
}

function requireFigures({ groups, objective }: Question): void {
  const figure: Partial<Record<Objective, "watts" | "price_per_hour">> = {
    energy: "watts",
    cost: "price_per_hour",
  };
  const needed = figure[objective];
  if (!needed) return;
  const without = groups.findIndex(({ accelerator }) => accelerator[needed] === undefined);
  if (without < 0) return;
  throw new MixError(
    "missing_figure",
    `the objective "${objective}" needs ${needed} for every accelerator; "${groups[without]?.accelerator.name}" has none, so declare it in the mix`,
    `/${without}/accelerator/${needed}`,
  );
}
