import type { Mix } from "../../../schemas/mix.ts";
import type { PlanVerification } from "../../../schemas/plan.ts";
import type { ShardManifest } from "../../../schemas/shards.ts";
import type { Model } from "../../../src/onnx/model.ts";
import { prepare } from "../../../src/partition/execution/prepare.ts";
import { blank, judge } from "../../../src/partition/execution/verify.ts";
import { type Work, workOf } from "../../../src/partition/execution/work.ts";
import { networkForModel } from "../../../src/partition/network.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { type Choose, forcedPlan } from "./forced-plan.ts";

export interface Trial {
  readonly model: Model;
  readonly feeds: readonly Feeds[];
  readonly mix: Mix;
  readonly choose: Choose;
  /** Spoils who does what. */
  readonly work?: (work: Work) => Work;
  /** Spoils what is run. */
  readonly manifest?: (manifest: ShardManifest) => void;
}

/** Forces a plan on a model and runs it, spoilt or not. */
export async function tried(trial: Trial): Promise<PlanVerification> {
  const { model, feeds, mix, choose } = trial;
  const runtime = await nodeRuntime();
  const plan = forcedPlan(await networkForModel(model, feeds.length), mix, choose);
  const prepared = await prepare({ model, plan, runtime }, feeds, (given, network) => {
    const work = workOf(given, network);
    return trial.work ? trial.work(work) : work;
  });
  trial.manifest?.(prepared.shards.manifest);
  return judge(plan, blank(plan, "synthetic"), prepared, runtime, model);
}
