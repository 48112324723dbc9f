import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Mix } from "../../schemas/mix.ts";
import type { Plan, PlanOptions, PlanVerification } from "../../schemas/plan.ts";
import { inputsOf } from "../evaluate/input-spec.ts";
import { readSamples } from "../evaluate/samples.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import { chunksOf } from "../onnx/source.ts";
import { inOrder, validateModel } from "../onnx/validate.ts";
import { encodeModel } from "../onnx/write.ts";
import { withoutIfs } from "../partition/execution/branches.ts";
import { exportShards } from "../partition/execution/prepare.ts";
import { sampleFeeds } from "../partition/execution/sample-feeds.ts";
import { verifyPlan } from "../partition/execution/verify.ts";
import { planModel } from "../partition/plan-model.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Feeds } from "../runtime/runtime.ts";
import { FailedError } from "./errors.ts";
import { contentOf, reason } from "./file-source.ts";
import { openModel } from "./open-model.ts";
import type { SamplesFile } from "./options.ts";
import { writeOutput } from "./output.ts";

/** Bytes that running a plan may take here: 170 million weights, or fewer and what they compute. */
const LIMIT = 2 ** 31;

/** A plan of the branches that the inputs take, so that running it says something of each of its layers. */
export async function planFile(
  path: string,
  mix: Mix,
  options: PlanOptions,
  samples: SamplesFile | null,
): Promise<Plan> {
  const runtime = await nodeRuntime();
  return withModel(path, async (model) => {
    const feeds = await sampleFeeds(model, runtime, await feedsOf(model, samples), 1);
    return planModel(model, mix, options, (await withoutIfs(model, runtime, feeds)).taken);
  });
}

/** Runs a plan of a model on disk on virtual devices. */
export async function verifyFile(
  path: string,
  plan: Plan,
  samples: SamplesFile | null,
): Promise<PlanVerification> {
  const runtime = await nodeRuntime();
  return withModel(path, async (model) =>
    verifyPlan({ model, plan, runtime, samples: await feedsOf(model, samples), limit: LIMIT }),
  );
}

/** Writes the models that the devices run, and manifest.json, which says in what order and what they exchange. */
export async function writeShards(
  path: string,
  plan: Plan,
  samples: SamplesFile | null,
  folder: string,
): Promise<void> {
  const runtime = await nodeRuntime();
  await withModel(path, async (model) => {
    const given = await feedsOf(model, samples);
    const shards = await exportShards({ model, plan, runtime, samples: given, limit: LIMIT });
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw new FailedError("file", `cannot write the folder ${folder}: ${reason(error)}`);
    });
    for (const { file } of shards.manifest.stages.flatMap((stage) => stage.shards)) {
      await writeOutput(join(folder, file), chunksOf(encodeModel(shards.model(file))));
    }
    await writeOutput(join(folder, "manifest.json"), `${JSON.stringify(shards.manifest, null, 1)}\n`);
  });
}

async function feedsOf(model: Model, samples: SamplesFile | null): Promise<readonly Feeds[] | null> {
  if (samples === null) return null;
  return readSamples(await contentOf(samples.path), samples.format, inputsOf(model)).feeds;
}

async function withModel<T>(path: string, use: (model: Model) => Promise<T>): Promise<T> {
  const { main, external, close } = await openModel(path);
  try {
    const model = await readModel(main, { external });
    validateModel(model);
    return await use(inOrder(model));
  } finally {
    await close();
  }
}
