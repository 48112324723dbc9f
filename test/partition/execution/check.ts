import type { Mix } from "../../../schemas/mix.ts";
import type { PlanVerification } from "../../../schemas/plan.ts";
import type { ShardManifest } from "../../../schemas/shards.ts";
import type { Model } from "../../../src/onnx/model.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { blank, judge, prepare } from "../../../src/partition/execution/verify.ts";
import { type Work, workOf } from "../../../src/partition/execution/work.ts";
import { networkForModel } from "../../../src/partition/network.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { type Choose, forcedPlan } from "./forced-plan.ts";

/** Equal figures but for the speed; nothing of them matters where types and shares are forced. */
function device(name: string, count: number, flops: number): Mix[number] {
  return {
    accelerator: {
      name,
      flops: { fp32: flops },
      memory_bytes: 1e9,
      memory_bandwidth: 1e11,
      link: { bandwidth: 1e12, latency: 0 },
    },
    count,
  };
}

/** The mixes of the benchmark: with such slow devices and fast links every one of them takes part. */
export const MIXES: Readonly<Record<string, Mix>> = {
  "two unlike devices": [device("fast", 1, 3e8), device("slow", 1, 1e8)],
  "three devices": [device("fast", 2, 3e8), device("slow", 1, 1e8)],
  "eight devices in two groups": [device("fast", 4, 3e8), device("slow", 4, 1e8)],
};

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
  return judge(blank(plan, "synthetic"), prepared, runtime, model);
}

/** Seeded feeds of one float input. */
export function feedsOf(name: string, values: readonly TensorValue[]): Feeds[] {
  return values.map((value) => ({ [name]: value }));
}
