import type { Plan, PlanVerification } from "../../../schemas/plan.ts";
import { DataType } from "../../onnx/data-type.ts";
import { jumpsOf } from "../../onnx/jumps.ts";
import type { Model } from "../../onnx/model.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import type { Feeds, Runtime } from "../../runtime/runtime.ts";
import { answering, answersOf } from "./answers.ts";
import { Comparison } from "./compare.ts";
import { AS_WRITTEN, execute } from "./execute.ts";
import { type FlatModel, withConstants } from "./flat.ts";
import { type ExecutionRequest, type Prepared, prepare } from "./prepare.ts";
import { megabytes, runBytes, sampleFeeds } from "./sample-feeds.ts";
import { onUnitScale } from "./unit-scale.ts";
import { verdict } from "./verdict.ts";
import { workOf } from "./work.ts";

/** Largest relative error that passes: float32 sums in another order stay far below. */
const TOLERANCE = 1e-4;
/** Where a model hands on halves: partial sums are rounded to them before they are added up. */
const HALF_TOLERANCE = 5e-3;
const HALVES: ReadonlySet<number> = new Set([DataType.FLOAT16, DataType.BFLOAT16]);

/** Devices that are run at most. */
const MOST_DEVICES = 64;

/**
 * Runs the plan's forward pass on virtual devices and compares every value between their shards, and every output,
 * with the whole model's. Type I gives each device some of the samples; a sample is run by itself.
 *
 * @throws ExecutionError where the plan is not one of this model; SyntheticInputError where no input can be made up
 */
export async function verifyPlan(request: ExecutionRequest): Promise<PlanVerification> {
  const { plan, model, runtime } = request;
  const base = blank(plan, request.samples ? "calibration" : "synthetic");
  if (plan.devices.length > MOST_DEVICES) {
    const reason = `${plan.devices.length} devices are planned for, and at most ${MOST_DEVICES} are run; plan a smaller mix to verify it`;
    return { ...base, status: "skipped", reason };
  }
  const feeds = await sampleFeeds(model, runtime, request.samples, plan.batch);
  const bytes = await runBytes(model, feeds[0] ?? {});
  const affordable = Math.floor((request.limit - bytes.weights) / Math.max(1, bytes.activations));
  if (affordable < 1) {
    const [size, most] = [bytes.weights + bytes.activations, request.limit].map(megabytes);
    return {
      ...base,
      status: "skipped",
      reason: `running it takes ${size} MB, and at most ${most} MB are taken here; hone plan --verify runs larger models on your machine`,
    };
  }
  const prepared = await prepare(request, feeds.slice(0, affordable), workOf);
  return judge(plan, base, prepared, runtime, model);
}

/** Runs the shards against the whole model. */
export async function judge(
  plan: Plan,
  base: PlanVerification,
  { flat, shards, feeds }: Prepared,
  runtime: Runtime,
  model: Model,
): Promise<PlanVerification> {
  const { manifest } = shards;
  const made = new Set(
    manifest.stages.flatMap((stage) =>
      stage.shards.flatMap(({ outputs }) => outputs.map(({ value }) => value)),
    ),
  );
  const reference = await wholeRun(flat, [...made], runtime, feeds);
  const originals = await answersOf(model, runtime, feeds);
  const unitScale = onUnitScale(flat.model.graph);
  const comparison = new Comparison((value, sample) => reference[sample]?.[value], unitScale);
  const ends = new Comparison((value, sample) => originals[sample]?.[value], unitScale);
  const halves = [...made].some((name) => HALVES.has(flat.values.get(name)?.dataType ?? 0));
  const facts = {
    ...base,
    tolerance: halves ? HALF_TOLERANCE : TOLERANCE,
    devices: manifest.devices.length,
    samples: manifest.samples,
    undivided: [...manifest.undivided],
    not_run: [...manifest.not_run],
  };
  try {
    const outputs = await execute(shards, runtime, feeds, (boundary) => comparison.add(boundary));
    for (const [sample, answer] of outputs.entries()) {
      for (const [value, tensor] of Object.entries(answer))
        ends.add({ value, device: 0, sample, box: [], tensor });
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { ...facts, status: "failed", reason: `a device's part cannot be run: ${error.message}` };
  }
  if (plan.layers.length > 0 && manifest.not_run.length === plan.layers.length) {
    const reason = "the inputs take none of the branches whose layers the plan names";
    return { ...facts, status: "inconclusive", reason };
  }
  const errors = comparison.errors();
  const jumps = jumpsOf({
    ...flat.model.graph,
    outputs: [...errors.keys(), ...manifest.outputs].map((name) => ({ name })),
  });
  return verdict(facts, errors, ends.errors(), jumps);
}

/** A verification in which nothing has been compared. */
export function blank(plan: Plan, data: PlanVerification["data"]): PlanVerification {
  return {
    status: "inconclusive",
    tolerance: TOLERANCE,
    devices: 0,
    samples: 0,
    data,
    boundaries: 0,
    worst: null,
    outputs: [],
    undivided: [],
    not_run: [],
    notes: plan.mode === "training" ? ["Only the forward pass is run; gradients are not compared."] : [],
  };
}

/** The flat model in one piece, answering every value that shards hand on. */
async function wholeRun(
  flat: FlatModel,
  values: readonly string[],
  runtime: Runtime,
  feeds: readonly Feeds[],
): Promise<Readonly<Record<string, TensorValue>>[]> {
  const outputs = values.map((name) => ({
    name,
    type: { kind: "tensor" as const, dataType: flat.values.get(name)?.dataType ?? 0 },
  }));
  return answersOf(answering(withConstants(flat.model, flat.constants), outputs), runtime, feeds, AS_WRITTEN);
}
