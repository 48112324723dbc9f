import { type Candidate, type Decision, isUntouched } from "../treatment.ts";

/** A layer's candidates; the first is the layer as it is. */
export type LayerChoices = {
  readonly layer: string;
  readonly candidates: readonly Candidate[];
  /** How much of a layer error comes out at the model's outputs; 1 where it was not measured. */
  readonly influence: number | null;
  /** Loss at the model's outputs (1 − R²) expected of each candidate, where it was measured; instead of influence. */
  readonly losses: readonly number[] | null;
  /** Why only the first candidate is there, for the report. */
  readonly reason: string | null;
};

/** What a choice should save: the layers' bytes, MACs and predicted time, each weighted as a share of the model's. */
export interface Objective {
  readonly bytes: number;
  readonly macs: number;
  readonly time: number;
}

/** Strength s allows 2^(−STRENGTH_OCTAVES·(1−s)) of the loss of all layers' worst candidates together. */
export const STRENGTH_OCTAVES = 30;
const LEAST_BINS = 1024;
const MOST_BINS = 4096;

/**
 * Chooses a candidate per layer: the multiple-choice knapsack min Σ cost subject to Σ influence·error ≤ budget, by
 * dynamic programming over the budget in equal bins (losses are rounded up, so the budget is kept exactly).
 *
 * A Lagrangian would be quicker and cannot reach the candidates off the convex hull; sparse storage has its best
 * ones there, because the first 40% of zeros save nothing.
 *
 * A loss counts as 1 at most: influence stands for 1 − R², and past 1 nothing is left of the output.
 *
 * @param strength 0 … 1, the budget on a logarithmic scale: 0 takes only what is free of error, 1 each layer's
 *   cheapest candidate
 */
export function decide(choices: readonly LayerChoices[], objective: Objective, strength: number): Decision[] {
  const losses = choices.map((choice) =>
    choice.candidates.map((c, i) => Math.min(1, choice.losses?.[i] ?? (choice.influence ?? 1) * c.error)),
  );
  const most = losses.reduce((sum, options) => sum + Math.max(...options), 0);
  const budget =
    strength >= 1
      ? Number.POSITIVE_INFINITY
      : strength <= 0
        ? 0
        : most * 2 ** (-STRENGTH_OCTAVES * (1 - strength));
  const costOf = costs(choices, objective);
  const chosen = bestSharing(choices, costOf, (cost) =>
    knapsack(
      choices.map(({ candidates }, layer) =>
        candidates.map((one, i) => ({ cost: cost(one, layer), loss: losses[layer]![i]! })),
      ),
      budget,
    ),
  );
  return choices.map((choice, layer) => {
    const candidate = chosen[layer]!;
    const idle = isUntouched(choice.candidates[candidate]!.treatment);
    return { layer: choice.layer, candidate, reason: idle ? (choice.reason ?? reasonFor(choice)) : null };
  });
}

/** Rounds in which layers that may share weights find out who does. */
const SHARING_ROUNDS = 4;

/**
 * What a layer pays of a shared weight depends on how many others choose it, too: first all that may are expected to, then as
 * many as did the last time. The cheapest round counts, with each shared weight paid once.
 */
function bestSharing(
  choices: readonly LayerChoices[],
  costOf: CostOf,
  choose: (cost: (candidate: Candidate, layer: number) => number) => number[],
): number[] {
  let chosen = choose((candidate) => costOf(candidate, candidate.bytes));
  if (!choices.some(({ candidates }) => candidates.some(({ shared }) => shared))) return chosen;
  let best = { chosen, cost: Number.POSITIVE_INFINITY };
  for (let round = 0; round < SHARING_ROUNDS; round++) {
    const keys = choices.map(({ candidates }, layer) => candidates[chosen[layer]!]!.shared?.key);
    const cost = (candidate: Candidate, layer: number) => {
      const { bytes, shared } = candidate;
      if (!shared) return costOf(candidate, bytes);
      const others = keys.filter((key, other) => key === shared.key && other !== layer).length;
      return costOf(candidate, bytes + shared.bytes / (others + 1) - shared.bytes / shared.sharers);
    };
    const total = choices.reduce(
      (sum, { candidates }, layer) => sum + cost(candidates[chosen[layer]!]!, layer),
      0,
    );
    if (total >= best.cost) break;
    best = { chosen, cost: total };
    chosen = choose(cost);
  }
  return best.chosen;
}

function reasonFor(choice: LayerChoices): string {
  return choice.candidates.length === 1
    ? "no method makes it smaller without making it slower"
    : "any change would cost more fidelity than it saves";
}

/** What a candidate costs if it takes so many bytes. */
type CostOf = (candidate: Candidate, bytes: number) => number;

function costs(choices: readonly LayerChoices[], objective: Objective): CostOf {
  const total = { bytes: 0, macs: 0, time: 0 };
  for (const { candidates } of choices) {
    const none = candidates[0]!;
    total.bytes += none.bytes;
    total.macs += none.macs ?? 0;
    total.time += none.time ?? 0;
  }
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
  return (c, bytes) =>
    objective.bytes * share(bytes, total.bytes) +
    objective.macs * share(c.macs ?? 0, total.macs) +
    objective.time * share(c.time ?? 0, total.time);
}

/** Index of the option taken in each layer; option 0 has no loss. */
function knapsack(layers: readonly (readonly { cost: number; loss: number }[])[], budget: number): number[] {
  const bins = Math.min(MOST_BINS, Math.max(LEAST_BINS, 8 * layers.length));
  const binsOf = (loss: number) => (loss <= 0 ? 0 : Math.max(0, Math.ceil((loss / budget) * bins - 1e-9)));
  let least = new Float64Array(bins + 1);
  const taken: Uint16Array[] = [];
  for (const options of layers) {
    const next = new Float64Array(bins + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Uint16Array(bins + 1);
    options.forEach(({ cost, loss }, option) => {
      const width = binsOf(loss);
      for (let bin = width; bin <= bins; bin++) {
        const total = least[bin - width]! + cost;
        if (total < next[bin]!) {
          next[bin] = total;
          choice[bin] = option;
        }
      }
    });
    taken.push(choice);
    least = next;
  }
  const chosen = new Array<number>(layers.length).fill(0);
  let bin = bins;
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const option = taken[layer]![bin]!;
    chosen[layer] = option;
    bin -= binsOf(layers[layer]![option]!.loss);
  }
  return chosen;
}
