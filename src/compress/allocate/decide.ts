import type { Candidate, Decision } from "../treatment.ts";

/** A layer's candidates; the first is the layer as it is. */
export interface LayerChoices {
  readonly layer: string;
  readonly candidates: readonly Candidate[];
  /** How much of a relative weight error comes out at the model's outputs; 1 where it was not measured. */
  readonly influence?: number;
  /** Why only the first candidate is there, for the report. */
  readonly reason?: string | null;
}

/** What a choice should save: the weights of the model's bytes, MACs and predicted time, each as a share of the whole. */
export interface Objective {
  readonly bytes: number;
  readonly macs: number;
  readonly time: number;
}

/** One step down a layer's convex hull: from one candidate to the next smaller one. */
interface Step {
  readonly layer: number;
  readonly to: number;
  readonly saving: number;
  readonly slope: number;
}

/**
 * Chooses a candidate per layer: the multiple-choice knapsack min Σ influence·error subject to Σ cost, solved by
 * its Lagrangian (ALGORITHMS: choosing under a budget). Each layer's candidates are reduced to their lower convex
 * hull over (cost, error); the hulls' steps, taken in the order of error per cost saved, are the Lagrangian's
 * solutions for a falling price of cost, each of them optimal for the cost it reaches.
 *
 * @param strength 0 … 1: the share of the greatest possible saving to take. More strength never gives a larger
 *   cost or a smaller summed error. 0 takes only what is free of error.
 */
export function decide(choices: readonly LayerChoices[], objective: Objective, strength: number): Decision[] {
  const costOf = costs(choices, objective);
  const steps: Step[] = [];
  choices.forEach((choice, layer) => {
    steps.push(...hullSteps(choice, layer, costOf));
  });
  steps.sort((x, y) => x.slope - y.slope || x.layer - y.layer || y.saving - x.saving);
  const wanted = strength * steps.reduce((sum, step) => sum + step.saving, 0);
  const chosen = choices.map(() => 0);
  let saved = 0;
  for (const step of steps) {
    if (step.slope > 0 && (strength <= 0 || saved + step.saving / 2 > wanted) && strength < 1) break;
    saved += step.saving;
    chosen[step.layer] = step.to;
  }
  return choices.map((choice, layer) => {
    const treatment = choice.candidates[chosen[layer]!]!.treatment;
    const idle = treatment.method === "none";
    return { layer: choice.layer, treatment, reason: idle ? (choice.reason ?? reasonFor(choice)) : null };
  });
}

/** The candidate of each layer that its decision names, for summing up what was predicted. */
export function chosenCandidate(choice: LayerChoices, decision: Decision): Candidate {
  const key = JSON.stringify(decision.treatment);
  return choice.candidates.find((c) => JSON.stringify(c.treatment) === key) ?? choice.candidates[0]!;
}

function reasonFor(choice: LayerChoices): string {
  return choice.candidates.length === 1
    ? "no method makes it smaller without making it slower"
    : "any change would cost more fidelity than it saves";
}

function costs(choices: readonly LayerChoices[], objective: Objective): (candidate: Candidate) => number {
  const total = { bytes: 0, macs: 0, time: 0 };
  for (const { candidates } of choices) {
    const none = candidates[0]!;
    total.bytes += none.bytes;
    total.macs += none.macs ?? 0;
    total.time += none.time ?? 0;
  }
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
  return (c) =>
    objective.bytes * share(c.bytes, total.bytes) +
    objective.macs * share(c.macs ?? 0, total.macs) +
    objective.time * share(c.time ?? 0, total.time);
}

/** From the layer as it is, always to the candidate of least error per cost saved, until nothing saves more. */
function hullSteps(choice: LayerChoices, layer: number, costOf: (c: Candidate) => number): Step[] {
  const influence = choice.influence ?? 1;
  const points = choice.candidates.map((c) => ({ cost: costOf(c), loss: influence * c.error }));
  const steps: Step[] = [];
  let at = 0;
  for (;;) {
    let best: Step | undefined;
    for (let to = 0; to < points.length; to++) {
      const saving = points[at]!.cost - points[to]!.cost;
      if (!(saving > 0)) continue;
      const slope = Math.max(0, points[to]!.loss - points[at]!.loss) / saving;
      if (best === undefined || slope < best.slope || (slope === best.slope && saving > best.saving)) {
        best = { layer, to, saving, slope };
      }
    }
    if (best === undefined) return steps;
    steps.push(best);
    at = best.to;
  }
}
