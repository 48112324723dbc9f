import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { freshNames, mapGraphs, nodeOf } from "../../onnx/edit.ts";
import type { Graph, Model, ValueInfo } from "../../onnx/model.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import { type LayerSite, withoutValue } from "../assemble.ts";
import { effectiveWeight } from "../effective-weight.ts";
import type { LayerFacts } from "../layer-facts.ts";
import type { Candidate } from "../treatment.ts";
import { type LayerWeight, storedAs } from "../weight.ts";
import type { LayerChoices } from "./decide.ts";

/** A layer whose candidates are to be tried. */
export interface Probed {
  readonly choices: LayerChoices;
  readonly facts: LayerFacts;
  readonly load: () => Promise<LayerWeight>;
}

/** Errors near which candidates are tried, for each method. */
const LEVELS = [0.002, 0.01, 0.05];
const UNUSED = "the samples never use it, so that the effect of a change cannot be measured";

/**
 * The model with the layers' weights as inputs, so that one session tries any number of changes, a run each.
 *
 * @returns the model and the input that takes each site's weight, in order
 */
export function probeModel(
  model: Model,
  sites: readonly LayerSite[],
  weights: readonly { readonly dataType: number; readonly dims: readonly number[] }[],
): { model: Model; inputs: readonly string[] } {
  const fresh = freshNames(model);
  const inputs = sites.map((_, i) => fresh(`hone_weight_${i}`));
  const edit = (graph: Graph, path: readonly string[]): Graph => {
    const key = JSON.stringify(path);
    return sites.reduce((edited, site, i) => {
      if (JSON.stringify(site.weight.graph) !== key) return edited;
      const rest = withoutValue(edited, site.weight.name);
      return { ...rest, nodes: [nodeOf("Identity", [inputs[i]!], [site.weight.name]), ...rest.nodes] };
    }, graph);
  };
  const graph = mapGraphs(model.graph, edit);
  const infos = inputs.map((name, i): ValueInfo => {
    const { dataType, dims } = weights[i]!;
    return { name, type: { kind: "tensor", dataType, shape: dims } };
  });
  // From IR 4 on initializers need not be inputs, so that those which are not probed may stay as they are.
  const irVersion = Math.max(model.irVersion, 4);
  return { model: { ...model, irVersion, graph: { ...graph, inputs: [...graph.inputs, ...infos] } }, inputs };
}

/**
 * Tries a few candidates of each layer, one layer at a time, and from what the output lost by each of them
 * estimates the loss of all its candidates: error times a factor that is interpolated between
 * the tried ones of the same method.
 *
 * A layer whose probes change nothing at all is not exercised by the samples (the other branch of an If), so that
 * nothing can be said of it: it stays as it is.
 *
 * @param loss runs the model with this weight in the layer's place and answers the largest 1 − R² of any output
 * @param maxRuns layers are tried from the largest down while runs last; the others get the factor under which
 *   three quarters of the tried ones lie
 */
export async function withMeasuredLosses(
  layers: readonly Probed[],
  loss: (layer: number, weight: TensorValue) => Promise<number>,
  maxRuns: number,
): Promise<LayerChoices[]> {
  const order = layers
    .map((_, i) => i)
    .filter((i) => layers[i]!.choices.candidates.length > 1)
    .sort((a, b) => layers[b]!.facts.bytes - layers[a]!.facts.bytes || a - b);
  const answers = layers.map((layer) => layer.choices);
  const factors: number[] = [];
  const rest: number[] = [];
  let runs = 0;
  let unchanged: number | undefined;
  for (const i of order) {
    const { choices, facts, load } = layers[i]!;
    const tried = probePoints(choices.candidates);
    if (runs + tried.length > maxRuns) {
      rest.push(i);
      continue;
    }
    runs += tried.length;
    const weight = await load();
    unchanged ??= await loss(i, tensorValue(weight, weight.values));
    const points: Point[] = [];
    let used = false;
    for (const candidate of tried) {
      const values = effectiveWeight(facts, weight, candidate.treatment);
      const lost = await loss(i, tensorValue(weight, values));
      used ||= lost !== unchanged;
      const factor = Math.max(0, Number.isFinite(lost) ? lost : 1) / candidate.error;
      points.push({ method: candidate.treatment.method, error: candidate.error, factor });
    }
    if (!used) {
      answers[i] = { ...choices, candidates: [choices.candidates[0]!], reason: UNUSED };
      continue;
    }
    factors.push(...points.map((point) => point.factor));
    answers[i] = {
      ...choices,
      losses: choices.candidates.map((candidate) => candidate.error * factorAt(points, candidate)),
    };
  }
  const typical = factors.sort((a, b) => a - b)[Math.floor(factors.length * 0.75)] ?? 1;
  for (const i of rest) answers[i] = { ...answers[i]!, influence: typical };
  return answers;
}

function tensorValue({ dataType, dims }: LayerWeight, values: FloatArray): TensorValue {
  return { dataType, dims, data: storedAs(dataType, values) };
}

interface Point {
  readonly method: string;
  readonly error: number;
  readonly factor: number;
}

/** For each method the candidates nearest to the levels. Candidates without error need no trial. */
function probePoints(candidates: readonly Candidate[]): Candidate[] {
  const lossy = candidates.filter((candidate) => candidate.error > 0);
  const found = new Set<Candidate>();
  for (const method of new Set(lossy.map((candidate) => candidate.treatment.method))) {
    const same = lossy.filter((candidate) => candidate.treatment.method === method);
    for (const level of LEVELS) {
      const distance = (c: Candidate) => Math.max(c.error / level, level / c.error);
      found.add(same.reduce((best, c) => (distance(c) < distance(best) ? c : best)));
    }
  }
  return [...found];
}

function factorAt(points: readonly Point[], candidate: Candidate): number {
  const same = points
    .filter((point) => point.method === candidate.treatment.method)
    .sort((a, b) => a.error - b.error);
  const above = same.findIndex((point) => point.error >= candidate.error);
  if (same.length === 0) return 1;
  if (above === 0) return same[0]!.factor;
  if (above < 0) return same.at(-1)!.factor;
  const [a, b] = [same[above - 1]!, same[above]!];
  return a.factor + ((b.factor - a.factor) * (candidate.error - a.error)) / (b.error - a.error);
}
