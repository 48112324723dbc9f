import type { Plan } from "../../../schemas/plan.ts";
import type { Model } from "../../onnx/model.ts";
import type { Feeds, Runtime } from "../../runtime/runtime.ts";
import { type TakenBranches, type TracedNetwork, tracedNetwork } from "../network.ts";
import { ExecutionError } from "./errors.ts";
import { type FlatModel, flatten } from "./flat.ts";
import { programOf } from "./lay-out.ts";
import { type Shards, shardsOf } from "./manifest.ts";
import { megabytes, runBytes, sampleFeeds } from "./sample-feeds.ts";
import { type Work, workOf } from "./work.ts";

export interface ExecutionRequest {
  readonly model: Model;
  readonly plan: Plan;
  readonly runtime: Runtime;
  /** Inputs of one sample each; null for made-up ones. */
  readonly samples: readonly Feeds[] | null;
  /** Bytes that weights, three times, and all samples' activations may take. */
  readonly limit: number;
}

/** A plan made executable, with inputs to run it on. */
export interface Prepared {
  readonly flat: FlatModel;
  readonly shards: Shards;
  readonly feeds: readonly Feeds[];
}

/**
 * The models that the plan's devices run and their manifest, for the plan's whole batch.
 *
 * @throws ExecutionError where the plan is not one of this model, or the model is above the limit
 */
export async function exportShards(request: ExecutionRequest): Promise<Shards> {
  const { model, plan, runtime, limit } = request;
  const feeds = (await sampleFeeds(model, runtime, request.samples, 1)).slice(0, 1);
  const { weights } = await runBytes(model, feeds[0] ?? {});
  if (weights > limit) {
    throw new ExecutionError(
      "too_large",
      `writing shards of this model takes ${megabytes(weights)} MB, and at most ${megabytes(limit)} MB are taken here`,
    );
  }
  const flat = await flatten(model, runtime, feeds);
  const traced = await plannedNetwork(model, plan, flat.taken);
  return shardsOf(flat, programOf(flat, traced, workOf(plan, traced.network), plan.batch));
}

/** Lays a plan out for the inputs given. `share` says who does what. */
export async function prepare(
  { model, plan, runtime }: Pick<ExecutionRequest, "model" | "plan" | "runtime">,
  feeds: readonly Feeds[],
  share: typeof workOf,
): Promise<Prepared> {
  const flat = await flatten(model, runtime, feeds);
  const traced = await plannedNetwork(model, plan, flat.taken);
  const work: Work = share(plan, traced.network);
  const program = programOf(flat, traced, work, flat.feeds.length);
  return { flat, shards: shardsOf(flat, program), feeds: flat.feeds };
}

/** The network that a plan names the layers of: that of the branches taken, or of those that compute more. */
async function plannedNetwork(model: Model, plan: Plan, taken: TakenBranches): Promise<TracedNetwork> {
  const traced = await tracedNetwork(model, plan.batch, taken);
  const named = new Set(plan.layers.map(({ name }) => name));
  return traced.network.nodes.every(({ name }) => named.has(name))
    ? traced
    : tracedNetwork(model, plan.batch);
}
