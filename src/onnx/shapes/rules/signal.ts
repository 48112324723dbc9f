import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { axisOf } from "../dims.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

/** Half a spectrum of `length` points. */
function half(length: Dim): Dim {
  return typeof length === "number" ? Math.floor(length / 2) + 1 : null;
}

/** The last axis holds 1 (real) or 2 (complex) numbers; the axis is an attribute in 17, an input from 20. */
const dft: Rule = (c) => {
  const x = c.dims(0);
  const given: Dim = c.opset < 20 ? c.int("axis", 1) : c.has(2) ? (c.elements(2)?.[0] ?? null) : -2;
  const axis = x && typeof given === "number" ? axisOf(given, x.length) : null;
  if (!x || axis === null) return [tensor(c.type(0), x?.map(() => null) ?? null)];
  const onesided = c.int("onesided", 0) !== 0;
  const inverse = c.int("inverse", 0) !== 0;
  const points: Dim = c.has(1) ? (c.elements(1)?.[0] ?? null) : (x[axis] ?? null);
  // A one-sided inverse gives a real signal: of the length asked for, else of the even length that fits.
  const whole = c.has(1) || typeof points !== "number" ? points : 2 * (points - 1);
  const length = !onesided ? points : inverse ? whole : half(points);
  const dims = x.map((dim, at) => {
    if (at === axis) return length;
    return at === x.length - 1 ? (onesided && inverse ? 1 : 2) : dim;
  });
  return [tensor(c.type(0), dims)];
};

const stft: Rule = (c) => {
  const signal = c.dims(0);
  const step = c.elements(1)?.[0];
  const window = c.has(2) ? c.length(2) : null;
  const frame: Dim = c.has(3) ? (c.elements(3)?.[0] ?? window) : window;
  const length = signal?.[1];
  const frames =
    typeof length === "number" && typeof frame === "number" && typeof step === "number" && step > 0
      ? Math.floor((length - frame) / step) + 1
      : null;
  const bins = c.int("onesided", 1) !== 0 ? half(frame) : frame;
  return [tensor(c.type(0), [signal?.[0] ?? null, frames, bins, 2])];
};

/** A decoded image: height and width are not known. */
const imageDecoder: Rule = (c) => [
  tensor(DataType.UINT8, [null, null, c.string("pixel_format", "RGB") === "Grayscale" ? 1 : 3]),
];

/** Signals and images. */
export const signalRules: RuleTable = { DFT: dft, STFT: stft, ImageDecoder: imageDecoder };
