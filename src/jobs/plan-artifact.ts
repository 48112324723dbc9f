import type { Plan, PlanVerification } from "../../schemas/plan.ts";
import type { Reference } from "../evaluate/reference.ts";
import type { Model } from "../onnx/model.ts";
import { withoutIfs } from "../partition/execution/branches.ts";
import { ExecutionError } from "../partition/execution/errors.ts";
import { blank, verifyPlan } from "../partition/execution/verify.ts";
import type { TakenBranches } from "../partition/network.ts";
import { planModel } from "../partition/plan-model.ts";
import { RuntimeLoadError, RuntimeRunError } from "../runtime/errors.ts";
import type { Feeds } from "../runtime/runtime.ts";
import type { ArtifactFacts } from "./assemble-artifact.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import { putBytes } from "./put-bytes.ts";
import { readStored } from "./stored-model.ts";
import type { Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly calibration: CalibrationFacts;
  readonly artifact: ArtifactFacts;
  readonly bench: Workbench;
  readonly blobs: Blobs;
  readonly host: JobHost;
}

/** Bytes that running a plan may take within a job, on every host alike: what fits into an isolate. */
const LIMIT = 64 * 2 ** 20;
/** Each has models of its own to load. */
const MOST_DEVICES = 16;

/**
 * How to split the artifact over the declared mix, and whether the devices' parts then compute what the whole does; null
 * where no mix is declared. @throws MixError
 */
export async function planArtifact(context: Context): Promise<{ key: string } | null> {
  const { job, artifact, blobs } = context;
  if (job.mix === null) return null;
  const model = await readStored(blobs, artifact.readable);
  const plan = await planModel(model, job.mix, job.plan, await takenBranches(context, model));
  const verified: Plan = { ...plan, verification: await verify(context, model, plan) };
  const bytes = new TextEncoder().encode(JSON.stringify(verified));
  const key = `${job.prefix}plan.json`;
  await putBytes(blobs, key, bytes);
  return { key };
}

/** The plan is for what the samples compute, where that can be told. */
async function takenBranches({ calibration, bench, host }: Context, model: Model): Promise<TakenBranches> {
  if (!calibration.runs) return new Map();
  const { single } = await bench.reference();
  try {
    return (await withoutIfs(model, await host.runtime(), [single])).taken;
  } catch (error) {
    if ([ExecutionError, RuntimeLoadError, RuntimeRunError].some((kind) => error instanceof kind))
      return new Map();
    throw error;
  }
}

/** A verification says what it has found; it never ends a job whose artifact and plan are there. */
async function verify(
  { calibration, bench, host }: Context,
  model: Model,
  plan: Plan,
): Promise<PlanVerification> {
  const skipped = (reason: string): PlanVerification => ({ ...blank(plan, null), status: "skipped", reason });
  if (!calibration.runs) return skipped("the model does not run in onnxruntime-web");
  if (plan.devices.length > MOST_DEVICES) {
    return skipped(
      `the mix has ${plan.devices.length} devices, and a job runs at most ${MOST_DEVICES}; hone plan --verify runs more on your machine`,
    );
  }
  const reference = await bench.reference();
  try {
    const verification = await verifyPlan({
      model,
      plan,
      runtime: await host.runtime(),
      samples: samplesOf(reference),
      limit: LIMIT,
    });
    return { ...verification, data: verification.data && reference.data };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return skipped(`it could not be run: ${error.message}`);
  }
}

/** The samples one by one; where they were run in batches, the first. */
function samplesOf({ feeds, single }: Reference): readonly Feeds[] {
  const sizes = (feed: Feeds | undefined) => Object.values(feed ?? {}).map(({ dims }) => `${dims}`);
  return `${sizes(feeds[0])}` === `${sizes(single)}` ? feeds : [single];
}
