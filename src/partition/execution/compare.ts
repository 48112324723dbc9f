import type { TensorValue } from "../../onnx/tensor-value.ts";
import { wholeBox } from "./box.ts";
import type { Boundary } from "./execute.ts";
import { eachRun, numbersOf } from "./pieces.ts";

interface Sums {
  difference: number;
  reference: number;
  elements: number;
}

/** Least root mean square that a value on unit scale counts with: an error of 1e-7 then passes 1e-4. */
const LEAST_RMS = 1e-3;

/**
 * Relative errors ‖a − b‖ / ‖b‖ of values against those of the whole model, over all samples. What several devices
 * hold counts once for each of them, so that none of them can be wrong unseen.
 */
export class Comparison {
  readonly #reference: (value: string, sample: number) => TensorValue | undefined;
  readonly #unitScale: ReadonlySet<string>;
  readonly #sums = new Map<string, Sums>();
  readonly #counted = new Set<string>();

  /** @param unitScale values whose errors are measured against 1e-3 at least */
  constructor(
    reference: (value: string, sample: number) => TensorValue | undefined,
    unitScale: ReadonlySet<string>,
  ) {
    this.#reference = reference;
    this.#unitScale = unitScale;
  }

  /** Takes note of what a device holds; of values without a reference nothing. */
  add({ value, sample, box, tensor }: Boundary): void {
    const reference = this.#reference(value, sample);
    if (!reference) return;
    const sums = this.#sums.get(value) ?? { difference: 0, reference: 0, elements: 0 };
    this.#sums.set(value, sums);
    const expected = numbersOf(reference);
    if (!this.#counted.has(`${sample} ${value}`)) {
      this.#counted.add(`${sample} ${value}`);
      sums.elements += expected.length;
      for (let i = 0; i < expected.length; i++) sums.reference += square(expected[i]);
    }
    sums.difference += differenceOf(tensor, reference, expected, box);
  }

  /** By value. Infinity where values are not numbers on one side only, or shapes differ. */
  errors(): Map<string, number> {
    const errorOf = (value: string, { difference, reference, elements }: Sums): number => {
      const least = this.#unitScale.has(value) ? LEAST_RMS ** 2 * elements : 0;
      return difference === 0 ? 0 : Math.sqrt(difference / Math.max(reference, least));
    };
    return new Map([...this.#sums].map(([value, sums]) => [value, errorOf(value, sums)]));
  }
}

/** Σ (a − b)² over a part of the reference; [] is all of it. */
function differenceOf(
  tensor: TensorValue,
  reference: TensorValue,
  expected: ArrayLike<number>,
  box: Boundary["box"],
): number {
  const whole = wholeBox(reference.dims);
  const part = box.length === 0 ? whole : box;
  const sized =
    part.length === tensor.dims.length && part.every(({ from, to }, axis) => to - from === tensor.dims[axis]);
  if (!sized || tensor.dataType !== reference.dataType) return Number.POSITIVE_INFINITY;
  const actual = numbersOf(tensor);
  let sum = 0;
  eachRun(part, part, whole, (own, other, count) => {
    for (let i = 0; i < count; i++) {
      const a = actual[own + i] as number;
      const b = expected[other + i] as number;
      const difference = a - b;
      if (difference !== 0 && !Object.is(a, b)) {
        sum += Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference * difference;
      }
    }
  });
  return sum;
}

/** Of what is a number; the rest has to agree exactly. */
function square(entry: number | undefined): number {
  return entry !== undefined && Number.isFinite(entry) ? entry * entry : 0;
}
