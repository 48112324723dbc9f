import { halfRounding } from "../../onnx/constant/half.ts";

/**
 * A quantised weight: levels[code] · factor · factor …, multiplied in this order in float32. Factors broadcast over
 * the weight seen in dims `view`, so that blocks of columns, rows and columns may each have a scale.
 */
export interface CodedWeight {
  readonly dims: readonly number[];
  /** Type of the weight that is rebuilt: float, float16 or double. */
  readonly dataType: number;
  /** In the order of the weight, one an element: an index into `levels`. */
  readonly codes: Uint8Array;
  /** 2 to 256 different numbers. */
  readonly levels: Float32Array;
  readonly view: readonly number[];
  readonly factors: readonly Factor[];
}

export interface Factor {
  /** Of the rank of `view`, each the view's or 1. */
  readonly dims: readonly number[];
  readonly values: Float32Array;
  /** Stored as float16, which `values` must already be rounded to. */
  readonly half: boolean;
}

/** A factor as it is stored: rounded to float16 where that is asked for. */
export function factorOf(dims: readonly number[], values: Float32Array, half: boolean): Factor {
  return { dims, half, values: half ? halved(values) : values };
}

/** Rounded to float16; finite numbers stay finite, and numbers other than zero stay so. */
export function halved(values: Float32Array): Float32Array {
  return values.map(halfRounding());
}

/** The numbers that a runtime computes with, bit for bit, before the last cast to float16 or double. */
export function codedValues({ codes, levels, view, factors }: CodedWeight): Float32Array {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = levels[codes[i]!]!;
  for (const factor of factors) multiply(values, view, factor);
  return values;
}

/** values *= factor, in float32. */
export function multiply(
  values: Float32Array,
  view: readonly number[],
  factor: Pick<Factor, "dims" | "values">,
): void {
  // Offset of the factor's element for each index of the last axis and for the axes before it.
  const steps = new Array<number>(view.length);
  let step = 1;
  for (let axis = view.length - 1; axis >= 0; axis--) {
    steps[axis] = factor.dims[axis] === 1 ? 0 : step;
    step *= factor.dims[axis]!;
  }
  const last = view.length - 1;
  const width = last < 0 ? 1 : view[last]!;
  const lastStep = last < 0 ? 0 : steps[last]!;
  const index = new Array<number>(Math.max(0, last)).fill(0);
  for (let at = 0; at < values.length; at += width) {
    let from = 0;
    for (let axis = 0; axis < last; axis++) from += index[axis]! * steps[axis]!;
    for (let i = 0; i < width; i++) values[at + i]! *= factor.values[from + i * lastStep]!;
    for (let axis = last - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < view[axis]!) break;
      index[axis] = 0;
    }
  }
}
