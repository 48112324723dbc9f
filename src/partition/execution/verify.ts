import type { Plan, PlanVerification } from "../../../schemas/plan.ts";
import { syntheticSamples } from "../../evaluate/synthetic.ts";
import { DataType } from "../../onnx/data-type.ts";
import { walkGraphs } from "../../onnx/edit.ts";
import { jumpsOf } from "../../onnx/jumps.ts";
import type { Model } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import { elementCount, type TensorValue } from "../../onnx/tensor-value.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, LoadOptions, Runtime } from "../../runtime/runtime.ts";
import { tracedNetwork } from "../network.ts";
import { Comparison } from "./compare.ts";
import { ExecutionError } from "./errors.ts";
import { AS_WRITTEN, execute } from "./execute.ts";
import { answering, type FlatModel, flatten, withConstants } from "./flat.ts";
import { type Shards, shardsOf } from "./manifest.ts";
import { programOf } from "./program.ts";
import { onUnitScale } from "./unit-scale.ts";
import { type Work, workOf } from "./work.ts";

/** Largest relative error that passes: float32 sums in another order stay far below. */
const TOLERANCE = 1e-4;
/** Where a model hands on halves: partial sums are rounded to them before they are added up. */
const HALF_TOLERANCE = 5e-3;
const HALVES: ReadonlySet<number> = new Set([DataType.FLOAT16, DataType.BFLOAT16]);

/** Samples that are shared out at most. */
const MOST_SAMPLES = 8;
/** Devices that are run at most. */
const MOST_DEVICES = 64;

export interface VerifyRequest {
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
 * Runs the plan's forward pass on virtual devices and compares every value between their shards, and every output,
 * with the whole model's. Type I gives each device some of the samples; a sample is run by itself.
 *
 * @throws ExecutionError where the plan is not one of this model; SyntheticInputError where no input can be made up
 */
export async function verifyPlan(request: VerifyRequest): Promise<PlanVerification> {
  const { plan, model, runtime } = request;
  const base = blank(plan, request.samples ? "calibration" : "synthetic");
  if (plan.devices.length > MOST_DEVICES) {
    const reason = `${plan.devices.length} devices are planned for, and at most ${MOST_DEVICES} are run; plan a smaller mix to verify it`;
    return { ...base, status: "skipped", reason };
  }
  const feeds = await feedsOf(request);
  const bytes = await bytesOf(model, feeds[0] ?? {});
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
  return judge(base, prepared, runtime, model);
}

/**
 * The models that the plan's devices run and their manifest, for the plan's whole batch.
 *
 * @throws ExecutionError where the plan is not one of this model, or the model is above the limit
 */
export async function exportShards(request: VerifyRequest): Promise<Shards> {
  const { model, plan, runtime, limit } = request;
  const feeds = (await feedsOf(request)).slice(0, 1);
  const { weights } = await bytesOf(model, feeds[0] ?? {});
  if (weights > limit) {
    throw new ExecutionError(
      "too_large",
      `writing shards of this model takes ${megabytes(weights)} MB, and at most ${megabytes(limit)} MB are taken here`,
    );
  }
  const traced = await tracedNetwork(model, plan.batch);
  const flat = await flatten(model, runtime, feeds);
  return shardsOf(flat, programOf(flat, traced, workOf(plan, traced.network), plan.batch));
}

/** Lays a plan out for the inputs given. `share` says who does what. */
export async function prepare(
  { model, plan, runtime }: Pick<VerifyRequest, "model" | "plan" | "runtime">,
  feeds: readonly Feeds[],
  share: typeof workOf,
): Promise<Prepared> {
  const traced = await tracedNetwork(model, plan.batch);
  const work: Work = share(plan, traced.network);
  const flat = await flatten(model, runtime, feeds);
  const program = programOf(flat, traced, work, flat.feeds.length);
  return { flat, shards: shardsOf(flat, program), feeds: flat.feeds };
}

/** As many samples as the plan has, up to a limit, all of one shape. */
async function feedsOf({ model, plan, runtime, samples }: VerifyRequest): Promise<readonly Feeds[]> {
  const count = Math.min(plan.batch, MOST_SAMPLES);
  if (samples && samples.length > 0) {
    const shape = (feed: Feeds) =>
      JSON.stringify(Object.entries(feed).map(([name, { dims }]) => [name, dims]));
    const first = shape(samples[0] as Feeds);
    return samples.filter((feed) => shape(feed) === first).slice(0, count);
  }
  const session = await runtime.load(await modelBytes(model));
  try {
    return await syntheticSamples(model, session, count);
  } finally {
    await session.release();
  }
}

const FLOAT_BYTES = 4;
/** Weights lie in memory as numbers, as a file and in the runtime. */
const WEIGHT_COPIES = 3;

/** Bytes that weights take while they are run, and all that one sample makes. */
async function bytesOf(model: Model, feed: Feeds): Promise<{ weights: number; activations: number }> {
  const inputShapes = Object.fromEntries(Object.entries(feed).map(([name, { dims }]) => [name, dims]));
  const shapes = await inferShapes(model, { inputShapes });
  let [weights, activations] = [0, 0];
  for (const { graph } of walkGraphs(model.graph)) {
    for (const { dims } of graph.initializers) weights += WEIGHT_COPIES * FLOAT_BYTES * elementCount(dims);
    for (const name of graph.nodes.flatMap(({ outputs }) => outputs)) {
      const dims = shapes.of(graph, name)?.dims ?? [];
      activations += FLOAT_BYTES * elementCount(dims.map((dim) => (typeof dim === "number" ? dim : 1)));
    }
  }
  return { weights, activations };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** Runs the shards against the whole model. */
export async function judge(
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
  const originals = await runAll(model, runtime, feeds);
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
  const errors = comparison.errors();
  const jumps = jumpsOf({
    ...flat.model.graph,
    outputs: [...errors.keys(), ...manifest.outputs].map((name) => ({ name })),
  });
  return verdict(facts, errors, ends.errors(), jumps);
}

function verdict(
  facts: PlanVerification,
  boundaries: ReadonlyMap<string, number>,
  outputs: ReadonlyMap<string, number>,
  jumps: ReadonlyMap<string, readonly string[]>,
): PlanVerification {
  const all = [...boundaries, ...outputs];
  const counted = all.filter(([name, error]) => error <= facts.tolerance || !jumps.has(name));
  const worst = counted.reduce<[string, number] | null>((a, b) => (a && a[1] >= b[1] ? a : b), null);
  const status = worst === null ? "inconclusive" : worst[1] <= facts.tolerance ? "passed" : "failed";
  return {
    ...facts,
    status,
    ...(status === "failed" && worst ? { reason: `"${worst[0]}" is not what the whole model computes` } : {}),
    boundaries: boundaries.size,
    worst: worst && { value: worst[0], relative_error: finite(worst[1]) },
    outputs: [...outputs].map(([output, error]) => {
      const operators = error > facts.tolerance ? jumps.get(output) : undefined;
      return {
        output,
        relative_error: finite(error),
        ...(operators ? { inconclusive: `${operators.join(", ")} turn over on rounding` } : {}),
      };
    }),
  };
}

function finite(error: number): number | null {
  return Number.isFinite(error) ? error : null;
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
  return runAll(answering(withConstants(flat.model, flat.constants), outputs), runtime, feeds, AS_WRITTEN);
}

async function runAll(
  model: Model,
  runtime: Runtime,
  feeds: readonly Feeds[],
  options: LoadOptions = {},
): Promise<Feeds[]> {
  const session = await runtime.load(await modelBytes(model), options);
  try {
    const answers: Feeds[] = [];
    for (const feed of feeds) answers.push(await session.run(feed));
    return answers;
  } finally {
    await session.release();
  }
}
