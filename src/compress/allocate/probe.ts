import { freshNames, mapGraphs, nodeOf } from "../../onnx/edit.ts";
import type { Graph, Model, ValueInfo } from "../../onnx/model.ts";
import { withoutValue } from "../assemble.ts";
import type { Candidate } from "../treatment.ts";

/** A value that takes the place of a constant, with what it was. */
export interface Exposed {
  readonly graph: readonly string[];
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
}

/**
 * The model with constants as inputs, so that one session tries any number of changes of them, a run each.
 *
 * @returns the model and the input that takes each constant, in order
 */
export function probeModel(
  model: Model,
  constants: readonly Exposed[],
): { model: Model; inputs: readonly string[] } {
  const fresh = freshNames(model);
  const inputs = constants.map((_, i) => fresh(`hone_constant_${i}`));
  const edit = (graph: Graph, path: readonly string[]): Graph => {
    const key = JSON.stringify(path);
    return constants.reduce((edited, constant, i) => {
      if (JSON.stringify(constant.graph) !== key) return edited;
      const rest = withoutValue(edited, constant.name);
      return { ...rest, nodes: [nodeOf("Identity", [inputs[i]!], [constant.name]), ...rest.nodes] };
    }, graph);
  };
  const graph = mapGraphs(model.graph, edit);
  const infos = inputs.map((name, i): ValueInfo => {
    const { dataType, dims } = constants[i]!;
    return { name, type: { kind: "tensor", dataType, shape: dims } };
  });
  // From IR 4 on initializers need not be inputs, so that those which are not probed may stay as they are.
  const irVersion = Math.max(model.irVersion, 4);
  return { model: { ...model, irVersion, graph: { ...graph, inputs: [...graph.inputs, ...infos] } }, inputs };
}

/** A candidate that was tried: 1 − R² of the output that suffered most. */
export interface Trial {
  readonly candidate: number;
  readonly loss: number;
}

/**
 * At most `count` of a layer's candidates to try, spread over their errors on a logarithmic scale and over their forms, so that
 * the others' losses can be told from theirs. Candidates without error need no trial.
 */
export function candidatesToTry(candidates: readonly Candidate[], count: number): number[] {
  const lossy = candidates.map((_, i) => i).filter((i) => candidates[i]!.error > 0);
  const kinds = new Map<string, number[]>();
  for (const i of lossy) {
    const kind = kindOf(candidates[i]!);
    kinds.set(kind, [...(kinds.get(kind) ?? []), i]);
  }
  const found: number[] = [];
  let left = Math.min(count, lossy.length);
  const lists = [...kinds.values()].sort((a, b) => a.length - b.length);
  for (const [k, list] of lists.entries()) {
    const share = Math.min(list.length, Math.ceil(left / (lists.length - k)));
    left -= share;
    const sorted = list.toSorted((a, b) => candidates[a]!.error - candidates[b]!.error || a - b);
    for (let j = 0; j < share; j++) {
      found.push(
        sorted[share === 1 ? sorted.length >> 1 : Math.round((j * (sorted.length - 1)) / (share - 1))]!,
      );
    }
  }
  return [...new Set(found)].sort((a, b) => a - b);
}

/**
 * Loss expected of every candidate: what was measured for those that were tried; for the others their layer error times a
 * factor that is interpolated between the tried ones of the same kind, of any kind where there is none.
 */
export function expectedLosses(candidates: readonly Candidate[], trials: readonly Trial[]): number[] {
  const measured = new Map(trials.map(({ candidate, loss }) => [candidate, loss]));
  const points = trials.map(({ candidate, loss }) => ({
    kind: kindOf(candidates[candidate]!),
    error: candidates[candidate]!.error,
    factor: loss / candidates[candidate]!.error,
  }));
  return candidates.map((candidate, i) => measured.get(i) ?? candidate.error * factorAt(points, candidate));
}

interface Point {
  readonly kind: string;
  readonly error: number;
  readonly factor: number;
}

function kindOf({ treatment: { form, sparsity } }: Candidate): string {
  return `${form?.kind ?? ""}+${sparsity === null ? "" : "sparse"}`;
}

function factorAt(points: readonly Point[], candidate: Candidate): number {
  const kind = kindOf(candidate);
  const alike = points.filter((point) => point.kind === kind);
  const sorted = (alike.length > 0 ? alike : points).toSorted((a, b) => a.error - b.error);
  if (sorted.length === 0) return 1;
  const above = sorted.findIndex((point) => point.error >= candidate.error);
  if (above === 0) return sorted[0]!.factor;
  if (above < 0) return sorted.at(-1)!.factor;
  const [a, b] = [sorted[above - 1]!, sorted[above]!];
  return a.factor + ((b.factor - a.factor) * (candidate.error - a.error)) / (b.error - a.error);
}
