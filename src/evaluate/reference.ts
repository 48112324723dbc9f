import type { Model } from "../onnx/model.ts";
import { modelMacs } from "../onnx/operators/totals.ts";
import { inferShapes } from "../onnx/shapes/infer.ts";
import { RuntimeRunError } from "../runtime/errors.ts";
import type { Feeds, Session } from "../runtime/runtime.ts";
import { countRight, type Tally } from "./accuracy.ts";
import { FidelityAccumulator } from "./fidelity.ts";
import { inputsOf } from "./input-spec.ts";
import { readSamples, type Samples, type SamplesFormat } from "./samples.ts";
import type { BatchSession, Executable } from "./segments/executable.ts";
import { onSyntheticSamples } from "./synthetic.ts";

/** What the original answers, computed once and compared with any number of candidates. */
export interface Reference {
  readonly data: "calibration" | "synthetic";
  /** Samples used; fewer than the file has where a limit says so. */
  readonly samples: number;
  readonly feeds: readonly Feeds[];
  readonly outputs: readonly Feeds[];
  /** Σ (y − mean)² of each output over all of them. */
  readonly spreads: ReadonlyMap<string, number>;
  /** Feeds from which no method may learn, so that they tell what inputs that nobody has seen yet will get. */
  readonly heldOut: ReadonlySet<number>;
  /** Per feed; null where there are no labels. */
  readonly labels: readonly (readonly number[])[] | null;
  readonly tallies: readonly (Tally | null)[];
  /** The first sample alone, to take the time with. */
  readonly single: Feeds;
  readonly outputNames: readonly string[];
}

export interface ReferenceInput {
  /** The original: its skeleton, and how it is run. */
  readonly model: Model;
  readonly original: Executable;
  /** The caller's samples, or null for made-up ones. */
  readonly calibration: { readonly bytes: Uint8Array; readonly format: SamplesFormat } | null;
  readonly limits?: Partial<ReferenceLimits>;
}

export interface ReferenceLimits {
  /** Made-up samples. */
  readonly synthetic: number;
  /** Samples of the caller's that are used, spread evenly over all of them. */
  readonly samples: number;
  /** Multiply-accumulates of one pass over the caller's samples: fewer are used where it would take more, but not fewer than allow to hold some out. */
  readonly macs: number;
  /** Runs of the model; more samples than that are run in batches where the model takes them. */
  readonly feeds: number;
  /** Bytes of outputs that are kept, at least those of one run. */
  readonly outputBytes: number;
}

const LIMITS: ReferenceLimits = {
  synthetic: 8,
  samples: 2048,
  macs: Number.POSITIVE_INFINITY,
  feeds: 256,
  outputBytes: 32 * 2 ** 20,
};
const MAX_BATCH = 64;
const FEWEST_TO_HOLD_OUT = 6;
/** Feeds of which a third is enough to judge by. */
const MANY = 32;
/** Samples of a model whose multiply-accumulates cannot be counted. */
const UNCOUNTED = 16;

/**
 * Runs the original on the caller's samples or on made-up ones. One session, given back at the end.
 * @throws SamplesError, SyntheticInputError, UnsupportedInputError, RuntimeLoadError or RuntimeRunError
 */
export async function makeReference(input: ReferenceInput): Promise<Reference> {
  const { model, original, calibration } = input;
  const limits = { ...LIMITS, ...input.limits };
  const picked = calibration && (await pickedSamples(calibration, model, limits));
  const session = await original.open((picked?.batches ?? picked?.samples)?.feeds ?? []);
  try {
    const answered =
      picked === null
        ? await onSyntheticSamples(model, session, limits.synthetic, (feeds) =>
            answersOf(session, madeUp(feeds), limits),
          )
        : await answersOf(session, await batched(picked, session), limits);
    const { samples, single, outputs, tallies } = answered;
    const accumulator = new FidelityAccumulator(session.outputNames);
    for (const answer of outputs) accumulator.add(answer, answer);
    return {
      data: calibration === null ? "synthetic" : "calibration",
      samples: Math.round((samples.count / samples.feeds.length) * outputs.length),
      feeds: samples.feeds.slice(0, outputs.length),
      outputs,
      spreads: accumulator.spreads(),
      heldOut: heldOutOf(outputs.length),
      labels: samples.labels?.slice(0, outputs.length) ?? null,
      tallies,
      single,
      outputNames: session.outputNames,
    };
  } finally {
    await session.release();
  }
}

interface Asked {
  readonly samples: Samples;
  readonly single: Feeds;
}

/** The original's answers to as many samples as the limits allow. */
async function answersOf(
  session: BatchSession,
  { samples, single }: Asked,
  limits: ReferenceLimits,
): Promise<Asked & Pick<Reference, "outputs" | "tallies">> {
  const outputs: Feeds[] = [];
  const tallies: (Tally | null)[] = [];
  let kept = 0;
  for await (const answer of session.runAll(samples.feeds.slice(0, limits.feeds))) {
    const i = outputs.length;
    kept += bytesOf(answer);
    if (i > 0 && kept > limits.outputBytes) break;
    outputs.push(answer);
    if (samples.labels !== null) tallies.push(countRight(answer, samples.labels[i]!));
  }
  return { samples, single, outputs, tallies };
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * A third of the feeds, half of them where there are only some, none of fewer than six: spread over all of them, in step with
 * no period that they may have.
 */
function heldOutOf(count: number): ReadonlySet<number> {
  if (count < FEWEST_TO_HOLD_OUT) return new Set();
  const order = Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => ((a * GOLDEN) % 1) - ((b * GOLDEN) % 1),
  );
  return new Set(order.slice(0, Math.floor(count / (count < MANY ? 2 : 3))));
}

function madeUp(feeds: readonly Feeds[]): Asked {
  return { samples: { feeds, labels: null, count: feeds.length }, single: feeds[0] ?? {} };
}

/** The file's samples one by one, and in batches when there are too many and the model may take them. */
interface PickedSamples {
  readonly samples: Samples;
  readonly batches: Samples | null;
}

async function pickedSamples(
  { bytes, format }: { bytes: Uint8Array; format: SamplesFormat },
  model: Model,
  limits: ReferenceLimits,
): Promise<PickedSamples> {
  const inputs = inputsOf(model);
  const all = readSamples(bytes, format, inputs);
  const macs = await macsOf(model, all.feeds[0]!);
  const affordable = macs === null ? UNCOUNTED : Math.floor(limits.macs / Math.max(1, macs));
  const samples = spread(all, Math.min(limits.samples, Math.max(FEWEST_TO_HOLD_OUT, affordable)));
  const single = samples.feeds[0]!;
  const batch = Math.min(MAX_BATCH, Math.ceil(samples.feeds.length / limits.feeds));
  const isBatchable = inputs.every(
    ({ name, shape }) => typeof shape?.[0] !== "number" && single[name]!.dims[0] === 1,
  );
  if (batch <= 1 || !isBatchable) return { samples, batches: null };
  const batches = readSamples(bytes, format, inputs, { batch });
  return { samples, batches: spread(batches, Math.ceil(samples.feeds.length / batch)) };
}

/** The samples in batches where there are some and the model runs on one. */
async function batched({ samples, batches }: PickedSamples, session: Session): Promise<Asked> {
  const single = samples.feeds[0]!;
  if (batches === null) return { samples, single };
  try {
    await session.run(batches.feeds[0]!);
    return { samples: batches, single };
  } catch (error) {
    // A model may declare an open batch and still hold a Reshape to one sample.
    if (!(error instanceof RuntimeRunError)) throw error;
    return { samples, single };
  }
}

/** Multiply-accumulates of one run; null where they cannot be counted. */
async function macsOf(model: Model, feed: Feeds): Promise<number | null> {
  const inputShapes = Object.fromEntries(Object.entries(feed).map(([name, { dims }]) => [name, dims]));
  return modelMacs(model, await inferShapes(model, { inputShapes }));
}

/** At most `most` feeds, spread evenly over all of them. */
function spread(samples: Samples, most: number): Samples {
  const { feeds, labels, count } = samples;
  if (feeds.length <= most) return samples;
  const picked = Array.from({ length: most }, (_, i) => Math.floor((i * feeds.length) / most));
  return {
    feeds: picked.map((i) => feeds[i]!),
    labels: labels && picked.map((i) => labels[i]!),
    count: (count / feeds.length) * most,
  };
}

function bytesOf(outputs: Feeds): number {
  return Object.values(outputs).reduce(
    (sum, { data }) => sum + (ArrayBuffer.isView(data) ? data.byteLength : data.length * 16),
    0,
  );
}
