import { DataType } from "../onnx/data-type.ts";
import { elementCount } from "../onnx/tensor-value.ts";
import type { InputSpec } from "./input-spec.ts";

/** One concrete shape per input. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** Sizes to try for open dimensions, likely ones first. */
const BATCH = [1, 2, 4, 8, 16, 32, 64];
const IMAGE = [128, 64, 224, 256, 320, 32, 299, 512, 28, 16];
const VOLUME = [16, 32, 64, 8];
const CHANNELS = [3, 1, 4, 2];
const SEQUENCE = [64, 32, 128, 16, 256, 100, 8, 1];
const SIGNAL = [512, 576, 1024, 16_000, 256, 128, 64, 784];

const MAX_ATTEMPTS = 200;
/** A feed of more elements than this is not made up; where sizes are tried, of more than a quarter. */
const MAX_ELEMENTS = 2 ** 24;

/** Dimensions that take one size together. */
interface Group {
  readonly sizes: readonly number[];
}

/**
 * Concrete shapes to try in order, for inputs with open dimensions. A symbol has one size wherever it occurs, the
 * first axis is a batch, and the axes of an image are equal. Every open dimension starts with its likeliest size; the
 * attempts then move away from there, one step in one dimension before two steps.
 * @param modelSizes sizes from the model's own constants, tried after the usual ones.
 */
export function* shapeCandidates(
  inputs: readonly InputSpec[],
  modelSizes: readonly number[],
): Generator<Shapes> {
  const groups = new Map<string, Group>();
  const layout = inputs.map((input) => {
    const shape = input.shape ?? [null, null];
    return {
      name: input.name,
      axes: shape.map((dim, axis) => {
        if (typeof dim === "number") return dim;
        const { kind, sizes } = usualSizes(input, axis);
        const key = typeof dim === "string" && dim !== "" && kind !== "image" ? `symbol ${dim}` : kind;
        if (!groups.has(key)) groups.set(key, { sizes: [...new Set([...sizes, ...modelSizes])] });
        return key;
      }),
    };
  });
  const keys = [...groups.keys()];
  let attempts = 0;
  for (const steps of stepsOutward([...groups.values()].map((group) => group.sizes.length))) {
    if (++attempts > MAX_ATTEMPTS) return;
    const size = new Map(keys.map((key, i) => [key, groups.get(key)!.sizes[steps[i]!]!]));
    const shapes = layout.map(({ name, axes }): [string, number[]] => [
      name,
      axes.map((axis) => (typeof axis === "number" ? axis : size.get(axis)!)),
    ]);
    const elements = shapes.reduce((sum, [, dims]) => sum + elementCount(dims), 0);
    if (elements <= (keys.length === 0 ? MAX_ELEMENTS : MAX_ELEMENTS / 4)) yield new Map(shapes);
  }
}

/** What an open dimension most likely is, from the rank and its neighbours; `kind` groups those without a symbol. */
function usualSizes(
  { name, shape, dataType }: InputSpec,
  axis: number,
): { kind: string; sizes: readonly number[] } {
  const dims = shape ?? [null, null];
  const rank = dims.length;
  const open = (at: number) => typeof dims[at] !== "number";
  if (axis === 0) return { kind: "batch", sizes: BATCH };
  if (rank >= 4) {
    // Channels are declared nearly always; where they are not, they come first.
    if (axis === 1 && dims.slice(1).every((_, i) => open(i + 1)))
      return { kind: "channels", sizes: CHANNELS };
    return { kind: "image", sizes: rank === 4 ? IMAGE : VOLUME };
  }
  // States of recurrent layers: [layers, batch, hidden].
  if (rank === 3 && axis === 1 && !open(0) && !open(2)) return { kind: "batch", sizes: BATCH };
  if (rank === 2 && isFloat(dataType)) return { kind: `signal ${name} ${axis}`, sizes: SIGNAL };
  return { kind: "sequence", sizes: SEQUENCE };
}

export function isFloat(dataType: number): boolean {
  return dataType === DataType.FLOAT || dataType === DataType.DOUBLE || dataType === DataType.FLOAT16;
}

/** Index vectors below `bounds` in the order of their sum: (0,0) (1,0) (0,1) (2,0) (1,1) … */
function* stepsOutward(bounds: readonly number[]): Generator<number[]> {
  const furthest = bounds.reduce((sum, bound) => sum + bound - 1, 0);
  for (let total = 0; total <= furthest; total++) yield* split(total, bounds);
}

function* split(total: number, bounds: readonly number[]): Generator<number[]> {
  const [bound, ...rest] = bounds;
  if (bound === undefined) {
    if (total === 0) yield [];
    return;
  }
  for (let step = Math.min(total, bound - 1); step >= 0; step--) {
    for (const steps of split(total - step, rest)) yield [step, ...steps];
  }
}
