import { narrow } from "../onnx/constant/half.ts";
import { DataType, dataTypeName } from "../onnx/data-type.ts";
import type { Model } from "../onnx/model.ts";
import { elementCount, type TensorArray, type TensorValue } from "../onnx/tensor-value.ts";
import { RuntimeRunError } from "../runtime/errors.ts";
import type { Feeds, Session } from "../runtime/runtime.ts";
import { isFloat, type Shapes, shapeCandidates } from "./input-shapes.ts";
import { type InputSpec, inputsOf } from "./input-spec.ts";
import { modelHints } from "./model-hints.ts";
import { picture } from "./noise.ts";
import { type Random, randomFrom } from "./random.ts";

/** No made-up input was accepted; sample inputs of the caller's are needed. */
export class SyntheticInputError extends Error {
  override readonly name = "SyntheticInputError";
}

/**
 * Makes inputs up until the model accepts them: `count` feeds of one shape, the same for the same model and seed.
 *
 * Open dimensions get sizes that are tried until `use` succeeds ({@link shapeCandidates}). Floats are smooth noise in
 * [0, 1] ({@link picture}), signals of open length in [-1, 1], recurrent states 0. Integers are row numbers of the table
 * they index, or else below the number of rows of the other inputs, or else 0 and 1. Masks are 1, lengths the sequence's
 * length, sampling rates 16,000: told by the inputs' names.
 *
 * @param session of the model
 * @param use runs the model on the feeds; a RuntimeRunError of its says that they do not suit
 * @returns what `use` returned
 * @throws SyntheticInputError when no attempt is accepted or an input is of a type that cannot be made up.
 */
export async function onSyntheticSamples<T>(
  model: Model,
  session: Session,
  count: number,
  use: (feeds: readonly Feeds[]) => Promise<T>,
  seed = 0,
): Promise<T> {
  const inputs = inputsOf(model);
  const hints = await modelHints(model);
  const isOpen = inputs.some(({ shape }) => shape === null || shape.some((dim) => typeof dim !== "number"));
  // Rows of a known table cost nothing to make and are never out of bounds.
  const isSafe = inputs.every(({ name }) => hints.tableRows.has(name));
  let refusal = "its declared shapes are too large";
  for (const shapes of shapeCandidates(inputs, hints.sizes)) {
    for (const bound of indexBounds(inputs, shapes)) {
      const feedsOf = (sample: number, flat = false): Feeds =>
        Object.fromEntries(
          inputs.map((input, i) => {
            const random = randomFrom(seed * 1_000_003 + sample * 1009 + i);
            const rows = hints.tableRows.get(input.name) ?? bound;
            return [input.name, synthetic(input, shapes, rows, flat ? null : random)];
          }),
        );
      try {
        // Most shapes are refused: they are tried with constants, which cost nothing to make.
        if (isOpen && !isSafe) await session.run(feedsOf(0, true));
        return await use(Array.from({ length: count }, (_, sample) => feedsOf(sample)));
      } catch (error) {
        if (!(error instanceof RuntimeRunError)) throw error;
        refusal = error.message;
      }
    }
  }
  throw new SyntheticInputError(
    `no made-up input suits the model (${refusal}); send sample inputs as calibration data`,
  );
}

/** Made-up inputs that the model runs on ({@link onSyntheticSamples}). */
export async function syntheticSamples(
  model: Model,
  session: Session,
  count: number,
  seed = 0,
): Promise<readonly Feeds[]> {
  const use = async (feeds: readonly Feeds[]) => {
    await session.run(feeds[0]!);
    return feeds;
  };
  return onSyntheticSamples(model, session, count, use, seed);
}

/** Exclusive bounds to try for integers that index no table: rows of a float input (nodes of a graph), 2, 1. */
function indexBounds(inputs: readonly InputSpec[], shapes: Shapes): number[] {
  if (!inputs.some((input) => !isFloat(input.dataType))) return [1];
  const rows = inputs
    .filter((input) => isFloat(input.dataType))
    .map((input) => shapes.get(input.name)?.[0] ?? 1);
  return [...new Set([...(rows.length > 0 ? [Math.min(...rows)] : []), 2, 1])].sort((a, b) => b - a);
}

/** One input's values; without `random` all equal, though still inside their bounds. */
function synthetic(input: InputSpec, shapes: Shapes, rows: number, random: Random | null): TensorValue {
  const { name, dataType } = input;
  const dims = shapes.get(name)!;
  const length = elementCount(dims);
  if (isFloat(dataType)) return { dataType, dims, data: floats(dataType, floatValues(input, dims, random)) };
  if (dataType === DataType.STRING) return { dataType, dims, data: new Array<string>(length).fill("a") };
  const named = namedInteger(name, shapes);
  const isImage = dims.length >= 3 && (dataType === DataType.UINT8 || dataType === DataType.INT8);
  const lowest = dataType === DataType.INT8 ? -128 : 0;
  const values =
    named !== null
      ? new Float64Array(length).fill(named)
      : isImage
        ? smooth(dims, random).map((value) => Math.floor(value * 255.99) + lowest)
        : Float64Array.from({ length }, () => integerBelow(dataType === DataType.BOOL ? 2 : rows, random));
  return { dataType, dims, data: integers(dataType, values, name) };
}

const STATE = /state|hidden|cache|past|^[hc]_?[0n]?$/i;
const MASK = /mask/i;
const RATE = /^sr$|sampl\w*_?rate/i;
const LENGTH = /len(gth)?s?$/i;

function namedInteger(name: string, shapes: Shapes): number | null {
  if (MASK.test(name)) return 1;
  if (RATE.test(name)) return 16_000;
  if (LENGTH.test(name)) return Math.max(1, ...[...shapes.values()].map((dims) => dims[1] ?? 1));
  return null;
}

/** The largest without `random`, as it is the one that a bound too high is refused for. */
function integerBelow(bound: number, random: Random | null): number {
  return random === null ? bound - 1 : random.integer(bound);
}

function floatValues(
  { name, shape }: InputSpec,
  dims: readonly number[],
  random: Random | null,
): Float64Array {
  if (STATE.test(name)) return new Float64Array(elementCount(dims));
  if (MASK.test(name)) return new Float64Array(elementCount(dims)).fill(1);
  const values = smooth(dims, random);
  const isSignal =
    dims.length <= 3 && typeof shape?.at(-1) !== "number" && (dims.length < 3 || dims[1] === 1);
  return isSignal ? values.map((value) => 2 * value - 1) : values;
}

/** At least this many neighbours make an axis one along which values change slowly. */
const SMOOTH_EXTENT = 8;

/** Noise that is smooth along the last one or two long axes; what is left (batch, channels) shares most of it. */
function smooth(dims: readonly number[], random: Random | null): Float64Array {
  if (random === null) return new Float64Array(elementCount(dims)).fill(0.5);
  const long = dims.flatMap((dim, axis) => (axis > 0 && dim >= SMOOTH_EXTENT ? [axis] : []));
  // Of three long axes or more, the channels are those that come first ([N, C, H, W]) and stay out.
  const axes = (long.length === 0 ? [dims.length - 1] : long.slice(-2)).filter((axis) => axis >= 0);
  const extents = axes.map((axis) => dims[axis]!);
  const area = extents.reduce((product, extent) => product * extent, 1);
  const length = elementCount(dims);
  const field = () => picture((extents.length === 0 ? [1] : extents) as [number] | [number, number], random);
  const common = field();
  const result = new Float64Array(length);
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  for (let plane = 0; plane * area < length; plane++) {
    const own = field();
    let rest = plane;
    let start = 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (axes.includes(axis)) continue;
      start += (rest % dims[axis]!) * strides[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    for (let i = 0; i < area; i++) {
      const inner = extents.at(-1) ?? 1;
      const at =
        axes.length === 2
          ? Math.floor(i / inner) * strides[axes[0]!]! + (i % inner) * strides[axes[1]!]!
          : axes.length === 1
            ? i * strides[axes[0]!]!
            : 0;
      result[start + at] = 0.75 * common[i]! + 0.25 * own[i]!;
    }
  }
  return result;
}

function floats(dataType: number, values: Float64Array): TensorArray {
  if (dataType === DataType.DOUBLE) return values;
  return dataType === DataType.FLOAT ? Float32Array.from(values) : narrow(dataType, values);
}

function integers(dataType: number, values: Float64Array, name: string): TensorArray {
  switch (dataType) {
    case DataType.INT64:
      return BigInt64Array.from(values, BigInt);
    case DataType.UINT64:
      return BigUint64Array.from(values, BigInt);
    case DataType.INT32:
      return Int32Array.from(values);
    case DataType.UINT32:
      return Uint32Array.from(values);
    case DataType.INT16:
      return Int16Array.from(values);
    case DataType.UINT16:
      return Uint16Array.from(values);
    case DataType.INT8:
      return Int8Array.from(values);
    case DataType.UINT8:
    case DataType.BOOL:
      return Uint8Array.from(values);
    default:
      throw new SyntheticInputError(
        `input ${JSON.stringify(name)} is of type ${dataTypeName(dataType)}, for which no values can be made up`,
      );
  }
}
