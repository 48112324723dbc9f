import { dataTypeName } from "../onnx/data-type.ts";
import type { Dim } from "../onnx/model.ts";
import { elementCount, type TensorArray, type TensorValue } from "../onnx/tensor-value.ts";
import type { Feeds } from "../runtime/runtime.ts";
import { convertTo } from "./convert.ts";
import type { InputSpec } from "./input-spec.ts";
import { parseNpy } from "./npy.ts";
import { parseNpz } from "./npz.ts";
import { parseSafetensors } from "./safetensors.ts";
import { SamplesError } from "./samples-error.ts";

export type SamplesFormat = "npz" | "npy" | "safetensors";

/** Inputs to run a model on, in the file's order. */
export interface Samples {
  readonly feeds: readonly Feeds[];
  /** Class indices, one array a feed and one label a row of it; null where the file has none. */
  readonly labels: readonly (readonly number[])[] | null;
  /** Samples in the file: feeds times the batch, or the number of whole feeds. */
  readonly count: number;
}

export interface ReadOptions {
  /** Samples a feed, where the first dimension of every input is open; 1 where nothing is said. */
  readonly batch?: number;
  /** Bytes that a compressed archive may unpack to; 256 MiB where nothing is said. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 256 * 2 ** 20;
const LABELS = "labels";
const NUMBERED = /^(.*)#(\d+)$/s;

/**
 * The arrays of a file by name, whatever the model.
 * @throws SamplesError
 */
export function readArrays(
  bytes: Uint8Array,
  format: SamplesFormat,
  maxBytes = MAX_BYTES,
): ReadonlyMap<string, TensorValue> {
  if (format === "npy") return new Map([["array", parseNpy(bytes, "array")]]);
  return format === "npz" ? parseNpz(bytes, maxBytes) : parseSafetensors(bytes);
}

/** What a calibration resource says about its arrays. */
export function describeArrays(
  arrays: ReadonlyMap<string, TensorValue>,
): { name: string; type: string; shape: number[] }[] {
  return [...arrays].map(([name, { dataType, dims }]) => ({
    name,
    type: dataTypeName(dataType),
    shape: [...dims],
  }));
}

/**
 * Reads sample inputs for a model. Arrays are matched to inputs by name, their first axis counting samples; an
 * array of any name serves the only input of a model, and is reshaped where its elements per sample are those of
 * the input. `labels` holds class indices. Arrays `x#0`, `x#1`, … are whole feeds of shapes that vary; beside
 * them, or without any dimension, an array serves every feed as it is. Samples that do not fill a last batch are
 * left out.
 * @throws SamplesError with one code a cause
 */
export function readSamples(
  bytes: Uint8Array,
  format: SamplesFormat,
  inputs: readonly InputSpec[],
  options: ReadOptions = {},
): Samples {
  if (inputs.length === 0)
    throw new SamplesError("unknown_array", "the model has no inputs to give samples to");
  const known = new Set(inputs.map((input) => input.name));
  const values = new Map<string, TensorValue>();
  const labels = new Map<string, TensorValue>();
  for (const [name, value] of readArrays(bytes, format, options.maxBytes)) {
    const isLabels = !known.has(name) && (name === LABELS || name.startsWith(`${LABELS}#`));
    (isLabels ? labels : values).set(name, value);
  }
  const whole = [...values.keys()].some((name) => !known.has(name) && NUMBERED.test(name));
  return whole
    ? wholeFeeds(values, labels, inputs)
    : stackedSamples(values, labels, inputs, options.batch ?? 1);
}

/** `x#0`, `x#1`, …: whole feeds. */
function wholeFeeds(
  values: ReadonlyMap<string, TensorValue>,
  labels: ReadonlyMap<string, TensorValue>,
  inputs: readonly InputSpec[],
): Samples {
  const specs = new Map(inputs.map((input) => [input.name, input]));
  const common: [string, TensorValue][] = [];
  const numbered = new Map<number, [string, TensorValue][]>();
  for (const [name, value] of values) {
    const { stem, index } = specs.has(name) ? { stem: name, index: null } : split(name);
    const spec = specs.get(stem);
    if (spec === undefined) throw unknownArray(name, inputs);
    if (!fits(spec, value.dims)) throw shapeMismatch(spec, value.dims, name);
    const entry: [string, TensorValue] = [stem, convertTo(spec.dataType, value, name)];
    if (index === null) common.push(entry);
    else numbered.set(index, [...(numbered.get(index) ?? []), entry]);
  }
  const feeds = Array.from({ length: numbered.size }, (_, index) => {
    const own = numbered.get(index);
    if (own === undefined) {
      throw new SamplesError(
        "feed_index",
        `there are ${numbered.size} feeds, but none with the number #${index}`,
      );
    }
    const feed = Object.fromEntries([...common, ...own]);
    for (const { name } of inputs) if (feed[name] === undefined) throw missingInput(`${name}#${index}`);
    return feed;
  });
  if (labels.size === 0) return { feeds, labels: null, count: feeds.length };
  const perFeed = feeds.map((_, index) => labels.get(`${LABELS}#${index}`));
  if (labels.size !== feeds.length || perFeed.includes(undefined)) {
    throw new SamplesError("labels", `the ${feeds.length} feeds need labels#0 to labels#${feeds.length - 1}`);
  }
  return { feeds, labels: perFeed.map((value) => labelsOf(value!)), count: feeds.length };
}

function split(name: string): { stem: string; index: number | null } {
  const match = NUMBERED.exec(name);
  if (match === null) return { stem: name, index: null };
  const index = Number(match[2]);
  if (String(index) !== match[2]) {
    throw new SamplesError("feed_index", `array ${JSON.stringify(name)} has no plain number after the #`);
  }
  return { stem: match[1]!, index };
}

/** Arrays whose first axis counts samples. */
function stackedSamples(
  values: ReadonlyMap<string, TensorValue>,
  labels: ReadonlyMap<string, TensorValue>,
  inputs: readonly InputSpec[],
  batch: number,
): Samples {
  const [only] = inputs;
  const named =
    inputs.length === 1 && values.size === 1
      ? new Map([[only!.name, [...values.values()][0]!]])
      : new Map(values);
  for (const name of named.keys()) {
    if (!inputs.some((input) => input.name === name)) throw unknownArray(name, inputs);
  }
  const stacks = inputs.map((spec) => {
    const value = named.get(spec.name);
    if (value === undefined) throw missingInput(spec.name);
    return stackOf(spec, convertTo(spec.dataType, value, spec.name), batch);
  });
  const counts = new Set(stacks.flatMap((stack) => stack.samples ?? []));
  const count = [...counts][0] ?? 1;
  if (counts.size > 1) {
    throw new SamplesError(
      "sample_count",
      `the arrays disagree on the number of samples: ${[...counts].join(", ")}`,
    );
  }
  const size = Math.max(...stacks.map((stack) => stack.batch));
  if (stacks.some((stack) => stack.samples !== null && stack.batch !== size)) {
    throw new SamplesError(
      "shape_mismatch",
      "the inputs take batches of different sizes; give whole feeds (x#0, …)",
    );
  }
  const feedCount = Math.floor(count / size);
  if (feedCount === 0) {
    throw new SamplesError("sample_count", `there are ${count} samples; a run of the model takes ${size}`);
  }
  const feeds = Array.from({ length: feedCount }, (_, index) =>
    Object.fromEntries(stacks.map((stack, i) => [inputs[i]!.name, stack.feed(index)])),
  );
  return { feeds, labels: stackedLabels(labels, count, size, feedCount), count: feedCount * size };
}

interface Stack {
  /** null: one value that serves every feed. */
  readonly samples: number | null;
  readonly batch: number;
  feed(index: number): TensorValue;
}

function stackOf(spec: InputSpec, value: TensorValue, wanted: number): Stack {
  if (value.dims.length === 0 && (spec.shape === null || spec.shape.length === 0)) {
    return { samples: null, batch: 1, feed: () => value };
  }
  const [samples, ...rest] = value.dims;
  if (samples === undefined || elementCount(value.dims) === 0) {
    throw new SamplesError(
      "sample_count",
      `array for ${JSON.stringify(spec.name)} of shape [${value.dims}] has no samples`,
    );
  }
  const { dims, batch } = feedShape(spec, rest, wanted, value.dims);
  const length = elementCount(dims);
  const data = value.data as Exclude<TensorArray, readonly string[]>;
  return {
    samples,
    batch,
    feed: (index) => ({
      dataType: value.dataType,
      dims,
      data: data.subarray(index * length, (index + 1) * length),
    }),
  };
}

/** Shape of one feed, and the samples it holds, from the shape of one sample. */
function feedShape(
  spec: InputSpec,
  sample: readonly number[],
  wanted: number,
  whole: readonly number[],
): { dims: readonly number[]; batch: number } {
  if (spec.shape === null) return { dims: [wanted, ...sample], batch: wanted };
  const [first, ...inner] = spec.shape;
  // An input of the array's rank: its first axis is the batch.
  const batch = typeof first === "number" ? first : wanted;
  if (first !== undefined && matches(inner, sample)) return { dims: [batch, ...sample], batch };
  // Other axes: the input's own, where they are all known and hold as many elements.
  if (first !== undefined && isFixed(inner) && elementCount(inner) === elementCount(sample)) {
    return { dims: [batch, ...inner], batch };
  }
  // One axis less than the array: a sample is a whole input.
  if (matches(spec.shape, sample)) return { dims: sample, batch: 1 };
  if (isFixed(spec.shape) && elementCount(spec.shape) === elementCount(sample))
    return { dims: spec.shape, batch: 1 };
  throw shapeMismatch(spec, whole, spec.name);
}

function stackedLabels(
  labels: ReadonlyMap<string, TensorValue>,
  count: number,
  batch: number,
  feeds: number,
): number[][] | null {
  const value = labels.get(LABELS);
  if (value === undefined || labels.size > 1) {
    if (labels.size === 0) return null;
    throw new SamplesError("labels", "labels#0, labels#1, … go with whole feeds (x#0, x#1, …)");
  }
  const all = labelsOf(value);
  if (all.length !== count)
    throw new SamplesError("labels", `there are ${all.length} labels for ${count} samples`);
  return Array.from({ length: feeds }, (_, index) => all.slice(index * batch, (index + 1) * batch));
}

/** Class indices; a column [n, 1] is taken as [n]. */
function labelsOf(value: TensorValue): number[] {
  const numbers = Array.from(value.data as ArrayLike<number | bigint>, Number);
  if (!numbers.every((label) => Number.isSafeInteger(label) && label >= 0)) {
    throw new SamplesError("labels", "labels are class indices: whole numbers from 0");
  }
  return numbers;
}

function fits(spec: InputSpec, dims: readonly number[]): boolean {
  return spec.shape === null || matches(spec.shape, dims);
}

function matches(shape: readonly Dim[], dims: readonly number[]): boolean {
  return (
    shape.length === dims.length && shape.every((dim, axis) => typeof dim !== "number" || dim === dims[axis])
  );
}

function isFixed(shape: readonly Dim[]): shape is readonly number[] {
  return shape.every((dim) => typeof dim === "number");
}

function unknownArray(name: string, inputs: readonly InputSpec[]): SamplesError {
  const names = inputs.map((input) => JSON.stringify(input.name)).join(", ");
  return new SamplesError(
    "unknown_array",
    `array ${JSON.stringify(name)} is no input of the model; it takes ${names}`,
  );
}

function missingInput(name: string): SamplesError {
  return new SamplesError(
    "missing_input",
    `no array for input ${JSON.stringify(name)}; arrays are matched by name`,
  );
}

function shapeMismatch(spec: InputSpec, dims: readonly number[], name: string): SamplesError {
  const shape = spec.shape?.map((dim) => dim ?? "?").join(", ");
  return new SamplesError(
    "shape_mismatch",
    `array ${JSON.stringify(name)} of shape [${dims}] does not fit input ${JSON.stringify(spec.name)} of shape [${shape}]`,
  );
}
