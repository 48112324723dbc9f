import type { InputMoments } from "../../compress/input-moments.ts";
import type { Kernels } from "../../kernels/kernels.ts";
import type { Model } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import { RuntimeLoadError, RuntimeRunError } from "../../runtime/errors.ts";
import type { Feeds } from "../../runtime/runtime.ts";
import { randomFrom } from "../random.ts";
import type { Execution } from "../segments/execution.ts";
import { type Stage, stagingOf } from "../segments/staging.ts";
import { MomentsAccumulator } from "./accumulator.ts";
import { type MomentsLimits, passesOf, valueKey, vectorTargets } from "./budget.ts";
import { exposeValues, type ValueAt, withStateOutputs } from "./expose.ts";
import { type MomentsTask, planMoments } from "./plan.ts";
import { vectorsOf } from "./reading.ts";
import { sampledIndices } from "./sampled.ts";
import { stageTasks } from "./stage-tasks.ts";
import type { Activation } from "./vectors.ts";

/** What was seen of a layer's inputs, by its matrices (compress/layer-matrix.ts), or why nothing was. */
export type LayerMoments =
  | {
      readonly layer: string;
      /** null for a matrix that no vector reached. */
      readonly matrices: readonly (InputMoments | null)[];
      readonly reason: null;
    }
  | { readonly layer: string; readonly matrices: null; readonly reason: string };

export interface MomentsOptions {
  readonly execution: Execution;
  /** With all its weights, its nodes in an order in which they can run. */
  readonly model: Model;
  /** Runs to see the inputs in, as Reference.feeds has them. */
  readonly feeds: readonly Feeds[];
  readonly kernels: Kernels;
  readonly limits?: Partial<MomentsLimits>;
}

const LIMITS: MomentsLimits = {
  gramMacs: 150e9,
  vectorsPerFeature: 16,
  fewestVectors: 2048,
  activationBytes: 48 * 2 ** 20,
  gramBytes: 48 * 2 ** 20,
};
/** Elements of vectors that wait to be added to the Gram matrices of a layer: 2 MB. */
const WAITING_ELEMENTS = 2 ** 19;

/**
 * The moments of every layer of the model, each layer once, a few at a time: the layers are exposed as outputs in
 * passes of as many as fit in memory, a session a pass, and what a run gives back is dropped before the next. Where the
 * runtime fails on a pass it is tried in halves, so that one layer costs no other its moments. Of a model that is run in
 * segments each has passes of its own.
 *
 * Layers whose moments cannot be collected come first, with the reason. The same model, feeds and limits give the same
 * bits.
 * @throws RuntimeInitError
 */
export async function* collectMoments(options: MomentsOptions): AsyncGenerator<LayerMoments, void> {
  const { feeds } = options;
  const limits = { ...LIMITS, ...options.limits };
  const model = withStateOutputs(options.model);
  const first = Object.entries(feeds[0] ?? {});
  const inputShapes = Object.fromEntries(first.map(([name, { dims }]) => [name, dims]));
  const { tasks, unseen } = planMoments(model, await inferShapes(model, { inputShapes }));
  for (const { layer, reason } of unseen) yield { layer, matrices: null, reason };
  const targets = vectorTargets(tasks, feeds.length, limits);
  const staging = await stagingOf(model, feeds, options.execution);
  const staged = stageTasks(tasks, staging);
  for (const { layer, reason } of staged.unseen) yield { layer, matrices: null, reason };
  const collections = tasks.map((task, seed): Collection => ({ task, seed, target: targets[seed]! }));
  let place = 0;
  for await (const stage of staging.stages(staged.stages.length, staged.later)) {
    const own = staged.stages[place++]!.map((index) => collections[index]!);
    yield* collectIn(stage, own, staging.isWhole ? limits : inSegments(limits, options), options);
  }
}

/** Passes over one stage. */
async function* collectIn(
  stage: Stage,
  collections: readonly Collection[],
  limits: MomentsLimits,
  options: MomentsOptions,
): AsyncGenerator<LayerMoments, void> {
  const passes = passesOf(
    collections.map(({ task }) => task),
    limits,
  );
  const waiting = passes.map((pass) => pass.map((index) => collections[index]!));
  for (let pass = waiting.shift(); pass; pass = waiting.shift()) {
    let collected: Collected[];
    try {
      collected = await runPass(stage, pass, options);
    } catch (error) {
      if (!(error instanceof RuntimeLoadError || error instanceof RuntimeRunError)) throw error;
      if (pass.length > 1) {
        const half = Math.ceil(pass.length / 2);
        waiting.unshift(pass.slice(0, half), pass.slice(half));
        continue;
      }
      collected = [{ task: pass[0]!.task, moments: null, reason: error.message }];
    }
    yield* collected.flatMap(layersOf);
  }
}

interface Collection {
  readonly task: MomentsTask;
  readonly seed: number;
  /** Vectors that each matrix is to see over all runs. */
  readonly target: number;
}

type Collected =
  | { readonly task: MomentsTask; readonly moments: readonly (InputMoments | null)[]; readonly reason: null }
  | { readonly task: MomentsTask; readonly moments: null; readonly reason: string };

function layersOf({ task, moments, reason }: Collected): LayerMoments[] {
  return task.layers.map((layer): LayerMoments => {
    if (moments === null) return { layer, matrices: null, reason };
    if (moments.every((one) => one === null)) {
      return { layer, matrices: null, reason: "the samples never reach it" };
    }
    const matrices = Array.from({ length: task.matrices }, (_, i) => moments[task.distinct === 1 ? 0 : i]!);
    return { layer, matrices, reason: null };
  });
}

/** A segment gives back no more than a quarter of the memory that it runs in. */
function inSegments(limits: MomentsLimits, { execution }: MomentsOptions): MomentsLimits {
  return { ...limits, activationBytes: Math.min(limits.activationBytes, execution.memory.segments / 4) };
}

async function runPass(
  stage: Stage,
  pass: readonly Collection[],
  { feeds, kernels }: MomentsOptions,
): Promise<Collected[]> {
  const values = new Map<string, ValueAt>();
  for (const { task } of pass) {
    for (const { path, reading } of task.uses) {
      for (const name of reading.values) values.set(valueKey(path, name), { path, name });
    }
  }
  const exposed = exposeValues(stage.model, [...values.values()]);
  const outputs = new Map([...values.keys()].map((key, i) => [key, exposed.outputs[i]!]));
  const collectors = pass.map((collection) => new Collector(collection, feeds.length, kernels));
  const session = await stage.load(exposed.model);
  try {
    for await (const feed of stage.feeds()) {
      const answer = await session.run(feed);
      const activationAt = (key: string): Activation => {
        const { dims, data } = answer[outputs.get(key)!]!;
        return { dims, data: data as Float32Array };
      };
      for (const collector of collectors) collector.add(activationAt);
    }
  } finally {
    await session.release();
  }
  return collectors.map((collector) => collector.finish());
}

/** Collects one task's moments over all runs. */
class Collector {
  readonly #collection: Collection;
  readonly #accumulators: readonly MomentsAccumulator[];
  /** Uses of the weight in all runs that are still to come. */
  #chances: number;
  #seen = 0;
  #misfit = false;

  constructor(collection: Collection, runs: number, kernels: Kernels) {
    const { task, target } = collection;
    const { distinct, n, keepsGram, uses } = task;
    const capacity = Math.max(1, Math.min(target, Math.floor(WAITING_ELEMENTS / (distinct * n))));
    this.#collection = collection;
    this.#chances = uses.length * runs;
    this.#accumulators = Array.from(
      { length: distinct },
      () => new MomentsAccumulator(n, keepsGram, capacity, kernels),
    );
  }

  /** One run. Each use takes an equal part of the vectors that are still wanted, so that later ones make up for branches not taken. */
  add(activationAt: (key: string) => Activation): void {
    const { task, seed, target } = this.#collection;
    for (const { path, reading } of task.uses) {
      const share = Math.ceil((target - this.#seen) / this.#chances);
      const random = randomFrom(Math.imul(seed + 1, 0x9e3779b1) + this.#chances);
      this.#chances--;
      const values = reading.values.map((name) => activationAt(valueKey(path, name)));
      // Empty where the branch that it is in was not taken.
      if (values[0]!.data.length === 0) continue;
      const vectors = vectorsOf(reading, values);
      // The layer itself may not be in the graph that ran, so that the runtime did not object.
      if (vectors.n !== task.n) {
        this.#misfit = true;
        continue;
      }
      const indices = sampledIndices(vectors.count, share, random);
      // Position by position, because the groups of a convolution have their patch at the same places.
      for (const index of indices) {
        for (let i = 0; i < this.#accumulators.length; i++) this.#accumulators[i]!.add(vectors, i, index);
      }
      this.#seen += indices.length;
    }
  }

  finish(): Collected {
    const { task } = this.#collection;
    if (this.#misfit) return { task, moments: null, reason: "the samples do not fit it" };
    const moments = this.#accumulators.map((accumulator) => accumulator.finish());
    return { task, moments, reason: null };
  }
}
