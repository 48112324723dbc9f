import type { ConvolutionGeometry } from "../../onnx/layer-geometry.ts";
import { type ConvolutionWork, convolutionMacs, convolutionTime } from "../kernel-sharing/cost.ts";
import { RATES, type RuntimeKind } from "../kernel-sharing/rates.ts";
import { type ChainStep, chainOf } from "./chain.ts";
import type { Form, FormTarget } from "./form.ts";

/**
 * Work of one step of a chain in one run. A product of matrices counts as the 1×1 convolution that it is. JSON.
 */
export interface StepWork extends ConvolutionWork {
  /** Output positions of a transposed convolution, whose `positions` are its inputs'; null for all others. */
  readonly spread: number | null;
}

/** What a form computes in one run. JSON. */
export interface FormWork {
  readonly steps: readonly StepWork[];
  /** False where shapes are unknown and sizes nominal, so that only ratios of forms mean something. */
  readonly known: boolean;
}

/** Map sizes assumed where shapes are unknown. */
const NOMINAL_SIZES: readonly (readonly number[])[] = [[], [784], [28, 28]];
/** What onnxruntime-web takes for a node more, ms: about a microsecond. */
const NODE_TIME = 1e-3;

/**
 * Of a recurrent layer only the products with W are counted, which are all that a form changes.
 * @throws FormError
 */
export function formWork(form: Form, target: FormTarget): FormWork {
  const { geometry } = target;
  const steps = chainOf(form, target);
  const rank = form.kind === "low_rank" ? form.rank : null;
  switch (geometry.kind) {
    case "convolution":
      return convolutionWork(steps, geometry);
    case "matrix": {
      const { inputFeatures: inputs, outputFeatures: outputs, rows } = geometry;
      const matrices = target.dims.reduce((product, dim) => product * dim, 1) / (inputs * outputs);
      return { steps: products(inputs, rank, outputs, (rows ?? 1) * matrices), known: rows !== null };
    }
    case "recurrent": {
      const { steps: length, batch, directions, gates, hidden, inputFeatures } = geometry;
      const outputs = directions * gates * hidden;
      return {
        steps: products(inputFeatures, rank, outputs, (length ?? 1) * (batch ?? 1)),
        known: length !== null && batch !== null,
      };
    }
  }
}

/** MACs of all steps; null where sizes are nominal. */
export function workMacs({ steps, known }: FormWork): number | null {
  return known ? steps.reduce((sum, step) => sum + convolutionMacs(step), 0) : null;
}

/** Predicted time of all steps on one thread, ms (see kernel-sharing/cost.ts). */
export function workTime({ steps }: FormWork, runtime: RuntimeKind = "web"): number {
  return steps.reduce(
    (sum, step) => sum + stepTime(runtime === "native" ? inBlocks(step) : step, runtime) + NODE_TIME,
    0,
  );
}

/** How far below the layer's own time a form's has to be predicted, by how well the rates of each runtime predict. */
const CERTAIN: { readonly [runtime in RuntimeKind]: number } = { web: 1, native: 0.9 };

/** Whether one work may take longer than another in any of the runtimes. */
export function mayTakeLonger(work: FormWork, than: FormWork, runtimes: readonly RuntimeKind[]): boolean {
  return runtimes.some((where) => workTime(work, where) > CERTAIN[where] * workTime(than, where));
}

/** Channels that a native runtime computes together, with AVX-512: fewer of them take as long. The rates were fitted without. */
const NATIVE_BLOCK = 16;

function inBlocks(step: StepWork): StepWork {
  const whole = (channels: number) => Math.ceil(channels / NATIVE_BLOCK) * NATIVE_BLOCK;
  return step.groups > 1 ? step : { ...step, inputs: whole(step.inputs), outputs: whole(step.outputs) };
}

/** A transposed convolution multiplies first and then folds c_out·k² columns back, at as much as unfolding costs. */
function stepTime(step: StepWork, runtime: RuntimeKind): number {
  if (step.spread === null) return convolutionTime(step, runtime);
  const { mac, unfolded, output } = RATES[runtime][step.groups > 1 ? "grouped" : "dense"];
  const columns = step.positions * step.outputs * step.kernel;
  return convolutionMacs(step) * mac + columns * unfolded + step.spread * step.outputs * output;
}

function products(inputs: number, rank: number | null, outputs: number, positions: number): StepWork[] {
  const one = (from: number, to: number): StepWork => ({
    inputs: from,
    outputs: to,
    groups: 1,
    kernel: 1,
    positions,
    spread: null,
  });
  return rank === null ? [one(inputs, outputs)] : [one(inputs, rank), one(rank, outputs)];
}

function convolutionWork(steps: readonly ChainStep[], geometry: ConvolutionGeometry): FormWork {
  const { transposed, batch } = geometry;
  const { inputSize, outputSize } = sizesOf(geometry);
  const known = batch !== null && inputSize === geometry.inputSize && outputSize === geometry.outputSize;
  const positionsOf = (size: readonly number[]) => size.reduce((product, one) => product * one, batch ?? 1);
  let size = inputSize;
  const works = steps.map((step): StepWork => {
    const dims = step.weight!.dims;
    const kernel = dims.slice(2).reduce((product, dim) => product * dim, 1);
    if (step.op === "ConvTranspose") {
      const { groups } = geometry;
      const spread = positionsOf(outputSize);
      const positions = positionsOf(size);
      return { inputs: dims[0]!, outputs: dims[1]! * groups, groups, kernel, positions, spread };
    }
    if (!transposed) size = size.map((one, axis) => (changes(step, axis) ? outputSize[axis]! : one));
    const group = step.attributes.group;
    const groups = group?.type === "int" ? group.value : 1;
    return {
      inputs: dims[1]! * groups,
      outputs: dims[0]!,
      groups,
      kernel,
      positions: positionsOf(size),
      spread: null,
    };
  });
  return { steps: works, known };
}

/** Whether the step's output differs in size from its input along an axis, or may. */
function changes({ attributes, weight }: ChainStep, axis: number): boolean {
  const rank = weight!.dims.length - 2;
  const entry = (name: string, at: number) => {
    const attribute = attributes[name];
    return attribute?.type === "ints" ? attribute.value[at] : undefined;
  };
  const padded = (entry("pads", axis) ?? 0) + (entry("pads", axis + rank) ?? 0) > 0;
  return weight!.dims[2 + axis]! > 1 || (entry("strides", axis) ?? 1) !== 1 || padded;
}

/** The layer's own sizes where all are known, nominal ones in the proportion of its strides otherwise. */
function sizesOf({ inputSize, outputSize, window, transposed }: ConvolutionGeometry): {
  inputSize: readonly number[];
  outputSize: readonly number[];
} {
  const complete = (sizes: readonly (number | null)[] | null): sizes is readonly number[] =>
    sizes?.every((size) => size !== null) ?? false;
  if (complete(inputSize) && complete(outputSize)) return { inputSize, outputSize };
  const { strides } = window;
  const small = NOMINAL_SIZES[strides.length] ?? [28, 28, ...strides.slice(2).map(() => 1)];
  const large = small.map((size, axis) => size * strides[axis]!);
  return transposed ? { inputSize: small, outputSize: large } : { inputSize: large, outputSize: small };
}
