import { DataType } from "../../src/onnx/data-type.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { naturalPhoto, planar, type Rgb, textImage } from "./images.ts";
import { type Part, wordsOf } from "./text.ts";

/** The mean and deviation of ImageNet's channels, which PaddleOCR and U²-Net normalise by. */
const MEAN = [0.485, 0.456, 0.406] as const;
const DEVIATION = [0.229, 0.224, 0.225] as const;
const imagenet = (v: number, channel: number) => (v / 255 - MEAN[channel]!) / DEVIATION[channel]!;

function float(dims: readonly number[], data: Float32Array): Feeds[string] {
  return { dataType: DataType.FLOAT, dims, data };
}

function each(count: number, sample: (index: number) => Promise<Feeds> | Feeds): Promise<Feeds[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => sample(i)));
}

/** The words that line `index` of {@link textLines} shows. */
export function lineText(index: number, part: Part): string {
  const words = wordsOf(part);
  return [0, 1].map((i) => words[(index * 3 + i) % words.length]).join(" ");
}

/** Rendered lines of text, 48 pixels high, as PaddleOCR normalises them: BGR in -1..1. */
export function textLines(count: number, part: Part): Promise<Feeds[]> {
  return each(count, (index) => {
    const image = textImage(320, 48, [{ text: lineText(index, part), x: 8, baseline: 35, size: 30 }]);
    return {
      x: float(
        [1, 3, 48, 320],
        planar(image, (v) => v / 127.5 - 1, "bgr"),
      ),
    };
  });
}

/** Rendered pages of a few lines. */
export function textPages(count: number, part: Part): Promise<Feeds[]> {
  return each(count, (index) => {
    const lines = [0, 1, 2, 3].map((row) => ({
      text: lineText(index * 4 + row, part),
      x: 10 + ((index + row) % 3) * 25,
      baseline: 50 + row * 70,
      size: 20 + ((index + row) % 3) * 6,
    }));
    return { x: float([1, 3, 320, 320], planar(textImage(320, 320, lines), imagenet, "bgr")) };
  });
}

/** Photographs for M-LSD: RGB 0..255 and a plane of ones, channels last. */
export function linePhotos(count: number, part: Part): Promise<Feeds[]> {
  return each(count, async (index) => {
    const { data } = await naturalPhoto(index, part, 320);
    const withAlpha = Float32Array.from({ length: 320 * 320 * 4 }, (_, i) =>
      i % 4 === 3 ? 1 : data[Math.floor(i / 4) * 3 + (i % 4)]!,
    );
    return { "input_image_with_alpha:0": float([1, 320, 320, 4], withAlpha) };
  });
}

/** Photographs of people for BlazeFace: RGB -1..1, channels last. */
export function facePhotos(count: number, part: Part): Promise<Feeds[]> {
  return each(count, async (index) => {
    const { data } = await naturalPhoto(index, part, 128);
    return {
      "input:0": float(
        [1, 128, 128, 3],
        data.map((v) => v / 127.5 - 1),
      ),
    };
  });
}

/** Photographs for U²-Net. */
export function objectPhotos(count: number, part: Part): Promise<Feeds[]> {
  return each(count, async (index) => ({
    "input.1": float([1, 3, 320, 320], planar(await naturalPhoto(index, part, 320), imagenet)),
  }));
}

/** Small photographs for ESRGAN: RGB 0..255. */
export function lowResolutionPhotos(count: number, part: Part): Promise<Feeds[]> {
  return each(count, async (index) => ({ LR: rgb255(await naturalPhoto(index, part, 64)) }));
}

/** RGB 0..255 with channels first, a batch of one. */
export function rgb255(image: Rgb): Feeds[string] {
  return float(
    [1, 3, image.height, image.width],
    planar(image, (v) => v),
  );
}

/** Photographs for the Inception classifier: RGB 0..1. */
export function classifierPhotos(count: number, part: Part): Promise<Feeds[]> {
  return each(count, async (index) => ({
    input_1: float(
      [1, 3, 299, 299],
      planar(await naturalPhoto(index, part, 299), (v) => v / 255),
    ),
  }));
}
