import type { OutputFidelity } from "../../schemas/report.ts";
import { widen } from "../onnx/constant/half.ts";
import { DataType } from "../onnx/data-type.ts";
import type { TensorArray, TensorValue } from "../onnx/tensor-value.ts";
import type { Feeds } from "../runtime/runtime.ts";
import { largestOfRows, looksLikeScores } from "./scores.ts";

/** The compressed model answers in other names or shapes than the original: it is another function altogether. */
export class OutputMismatchError extends Error {
  override readonly name = "OutputMismatchError";
}

/** One sample's part in the sums of an output. */
interface Share {
  readonly count: number;
  readonly mean: number;
  /** Σ (y − mean)². */
  readonly spread: number;
  /** Σ (y − ŷ)². */
  readonly error: number;
}

/** Rows of class scores of one sample. */
interface Votes {
  readonly rows: number;
  readonly differing: number;
}

/** Differences up to this share of the largest value are float32 rounding. */
const ROUNDING = 1e-6;

/**
 * Agreement of one output with the original's, added up over samples in double precision.
 *
 * - R² = 1 − ‖y−ŷ‖² / ‖y−mean(y)‖², the mean over all elements of all samples. Where y is constant: 1 if ŷ agrees to
 *   within rounding (‖y−ŷ‖ ≤ 1e-6 max|y| √n), otherwise null.
 * - cosine = y·ŷ / (‖y‖ ‖ŷ‖); 1 if both are zero, null if one is.
 * - Elements that are NaN in both, or the same infinity, agree and count nowhere. Any other that is not finite makes
 *   R² and cosine null and the largest difference `Number.MAX_VALUE`, as JSON has no infinity.
 */
class OutputAccumulator {
  #count = 0;
  #mean = 0;
  /** Σ (y − mean)², by Chan's update, which does not cancel as Σy² − n·mean² would. */
  #spread = 0;
  #error = 0;
  #dot = 0;
  #normOriginal = 0;
  #normCompressed = 0;
  #largest = 0;
  #maxDifference = 0;
  #broken = 0;
  #scores = true;
  readonly #votes: Votes[] = [];
  readonly #shares: Share[] = [];

  add(original: TensorValue, compressed: TensorValue): void {
    if (original.dataType === DataType.STRING) this.#addTexts(original, compressed);
    else this.#addNumbers(original, compressed);
  }

  #addNumbers(original: TensorValue, compressed: TensorValue): void {
    const y = numbersOf(original);
    const z = numbersOf(compressed);
    let count = 0;
    let sum = 0;
    let error = 0;
    for (let i = 0; i < y.length; i++) {
      const a = Number(y[i]);
      const b = Number(z[i]);
      if (!Number.isFinite(a) || !Number.isFinite(b)) {
        if (!Object.is(a, b)) this.#broken++;
        continue;
      }
      count++;
      sum += a;
      const difference = Math.abs(a - b);
      error += difference * difference;
      if (difference > this.#maxDifference) this.#maxDifference = difference;
      this.#dot += a * b;
      this.#normOriginal += a * a;
      this.#normCompressed += b * b;
      if (Math.abs(a) > this.#largest) this.#largest = Math.abs(a);
    }
    this.#error += error;
    if (count > 0) {
      const mean = sum / count;
      const share = { count, mean, spread: spreadOf(y, z, mean), error };
      this.#shares.push(share);
      this.#merge(share);
    }
    this.#scores &&= looksLikeScores(original);
    if (this.#scores) this.#compareRows(original, compressed);
  }

  #merge({ count, mean, spread }: Share): void {
    const total = this.#count + count;
    const shift = mean - this.#mean;
    this.#spread += spread + (shift * shift * this.#count * count) / total;
    this.#mean += (shift * count) / total;
    this.#count = total;
  }

  #compareRows(original: TensorValue, compressed: TensorValue): void {
    const expected = largestOfRows(original);
    const found = largestOfRows(compressed);
    const differing = expected.filter((column, row) => found[row] !== column).length;
    this.#votes.push({ rows: expected.length, differing });
  }

  /** Texts agree or they do not: each that differs counts as a difference of 1 from 0. */
  #addTexts(original: TensorValue, compressed: TensorValue): void {
    this.#scores = false;
    for (const [i, text] of (original.data as readonly string[]).entries()) {
      this.#count++;
      if (text === compressed.data[i]) continue;
      this.#error++;
      this.#maxDifference = 1;
    }
  }

  result(output: string): OutputFidelity {
    const broken = this.#broken > 0;
    return {
      output,
      r2: broken ? null : this.#r2(),
      cosine: broken ? null : this.#cosine(),
      max_abs_difference: broken ? Number.MAX_VALUE : Math.min(this.#maxDifference, Number.MAX_VALUE),
      top1_agreement: this.rows > 0 ? 1 - this.#differing / this.rows : null,
    };
  }

  #r2(): number | null {
    if (this.#spread <= this.#rounding) return this.#error <= this.#rounding ? 1 : null;
    const r2 = 1 - this.#error / this.#spread;
    return Number.isFinite(r2) ? r2 : null;
  }

  /** R² less the error that it has from so few samples. */
  cautiousR2(): number | null {
    const r2 = this.#broken > 0 ? null : this.#r2();
    if (r2 === null || !(this.#spread > 0)) return r2;
    const aboutMean = ({ count, mean, spread }: Share) => spread + count * (mean - this.#mean) ** 2;
    return r2 - errorOfRatio(this.#shares.map((share) => [share.error, aboutMean(share)]));
  }

  /** Top-1 agreement less the error that it has from so few samples; null where there are no class scores. */
  cautiousTop1(): number | null {
    const { top1_agreement: found } = this.result("");
    return found && found - errorOfRatio(this.#votes.map(({ rows, differing }) => [differing, rows]));
  }

  /** Rows of class scores; 0 where it is none. */
  get rows(): number {
    return this.#scores ? this.#votes.reduce((sum, { rows }) => sum + rows, 0) : 0;
  }

  get #differing(): number {
    return this.#votes.reduce((sum, { differing }) => sum + differing, 0);
  }

  get spread(): number {
    return this.#spread;
  }

  /** Whether R² may still be `least` when the samples to come agree entirely; `spread` is that of all samples. */
  canReach(least: number, spread: number): boolean {
    return this.#broken === 0 && this.#error <= Math.max((1 - least) * spread, this.#rounding);
  }

  /** Squared differences, added up, that may be rounding. */
  get #rounding(): number {
    return (ROUNDING * this.#largest) ** 2 * this.#count;
  }

  #cosine(): number | null {
    if (this.#normOriginal === 0 && this.#normCompressed === 0) return this.#error === 0 ? 1 : null;
    const cosine = this.#dot / Math.sqrt(this.#normOriginal) / Math.sqrt(this.#normCompressed);
    return Number.isFinite(cosine) ? Math.min(1, Math.max(-1, cosine)) : null;
  }
}

/** Agreement of all outputs over samples that come one by one. */
export class FidelityAccumulator {
  readonly #outputs: ReadonlyMap<string, OutputAccumulator>;

  constructor(outputNames: readonly string[]) {
    this.#outputs = new Map(outputNames.map((name) => [name, new OutputAccumulator()]));
  }

  /** @throws OutputMismatchError when an output is missing or differs in type or shape. */
  add(original: Feeds, compressed: Feeds): void {
    for (const [name, accumulator] of this.#outputs) {
      const y = original[name];
      const z = compressed[name];
      if (y === undefined || z === undefined || y.dataType !== z.dataType || !sameDims(y.dims, z.dims)) {
        throw new OutputMismatchError(
          `output ${JSON.stringify(name)} is ${describe(y)} in the original and ${describe(z)} in the compressed model`,
        );
      }
      accumulator.add(y, z);
    }
  }

  outputs(): OutputFidelity[] {
    return [...this.#outputs].map(([name, accumulator]) => accumulator.result(name));
  }

  /** Σ (y − mean)² of each output. */
  spreads(): ReadonlyMap<string, number> {
    return new Map([...this.#outputs].map(([name, { spread }]) => [name, spread]));
  }

  /** Whether every output's R² may still be `least`; `spreads` are those of all samples. */
  canReach(least: number, spreads: ReadonlyMap<string, number>): boolean {
    return [...this.#outputs].every(([name, output]) => output.canReach(least, spreads.get(name) ?? 0));
  }

  /** The least R² of all outputs that other samples can be expected to keep; null where any has none. */
  cautiousR2(): number | null {
    return least([...this.#outputs.values()].map((output) => output.cautiousR2()));
  }

  /** The least top-1 agreement that other samples can be expected to keep; null where no output is class scores. */
  cautiousTop1(): number | null {
    return least([...this.#outputs.values()].filter(({ rows }) => rows > 0).map((o) => o.cautiousTop1()));
  }

  /** Rows of class scores of the output that has fewest; 0 where none has any. */
  get rows(): number {
    const rows = [...this.#outputs.values()].map((output) => output.rows).filter((count) => count > 0);
    return rows.length === 0 ? 0 : Math.min(...rows);
  }
}

/** The least R² of all outputs; null where any has none, which a fidelity guard has to take as failing. */
export function leastR2(outputs: readonly OutputFidelity[]): number | null {
  return least(outputs.map(({ r2 }) => r2));
}

/** The least top-1 agreement of all outputs that are class scores; null where none is. */
export function leastTop1(outputs: readonly OutputFidelity[]): number | null {
  return least(outputs.map(({ top1_agreement }) => top1_agreement).filter((share) => share !== null));
}

function least(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((r2) => r2 !== null);
  return known.length < figures.length || known.length === 0 ? null : Math.min(1, ...known);
}

/**
 * Standard error of Σparts/Σwholes over samples (Cochran, Sampling Techniques, 1977, §6.4), widened for that it is itself
 * found from few: samples that differ much promise little of others. 0 of a single sample, which says nothing of it.
 */
function errorOfRatio(samples: readonly (readonly [part: number, whole: number])[]): number {
  const m = samples.length;
  if (m < 2) return 0;
  const part = samples.reduce((sum, [one]) => sum + one, 0);
  const whole = samples.reduce((sum, [, one]) => sum + one, 0);
  const deviation = samples.reduce((sum, [one, of]) => sum + (one - (part / whole) * of) ** 2, 0);
  return (Math.sqrt((deviation * m) / (m - 1)) / whole) * Math.sqrt((m + 1) / (m - 1));
}

/** Σ (y − mean)² over what is finite in both. */
function spreadOf(y: Numbers, z: Numbers, mean: number): number {
  let spread = 0;
  for (let i = 0; i < y.length; i++) {
    const a = Number(y[i]);
    if (Number.isFinite(a) && Number.isFinite(Number(z[i]))) spread += (a - mean) ** 2;
  }
  return spread;
}

type Numbers = ArrayLike<number> | ArrayLike<bigint>;

function numbersOf({ dataType, data }: TensorValue): Numbers {
  const isHalf = dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16;
  return isHalf ? widen(dataType, data as Uint16Array) : (data as Exclude<TensorArray, readonly string[]>);
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

function describe(value: TensorValue | undefined): string {
  return value === undefined ? "missing" : `of type ${value.dataType} and shape [${value.dims}]`;
}
