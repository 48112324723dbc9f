import { join } from "node:path";
import { createCanvas, GlobalFonts, type Image, loadImage } from "@napi-rs/canvas";
import { ROOT } from "./shared.ts";

/** An RGB image of values 0..255, row by row. */
export interface Rgb {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

export const PHOTOS = 6;

/** Photograph `index` of face-api's demo, its centre square scaled to `size`. */
export async function photo(index: number, size: number): Promise<Rgb> {
  const image = await loadImage(
    join(ROOT, `node_modules/@vladmandic/face-api/demo/sample${(index % PHOTOS) + 1}.jpg`),
  );
  return scaled(image, size);
}

function scaled(image: Image, size: number): Rgb {
  const side = Math.min(image.width, image.height);
  const canvas = createCanvas(size, size);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, size, size);
  return rgb(context.getImageData(0, 0, size, size).data, size, size);
}

/** Black text on white paper: each line at its baseline, in DejaVu Sans where it is installed. */
export function textImage(
  width: number,
  height: number,
  lines: readonly { text: string; x: number; baseline: number; size: number }[],
): Rgb {
  const family = GlobalFonts.has("DejaVu Sans") ? "DejaVu Sans" : "sans-serif";
  const canvas = createCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "black";
  for (const { text, x, baseline, size } of lines) {
    context.font = `${size}px "${family}"`;
    context.fillText(text, x, baseline);
  }
  return rgb(context.getImageData(0, 0, width, height).data, width, height);
}

function rgb(rgba: Uint8ClampedArray, width: number, height: number): Rgb {
  const data = new Float32Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) data[pixel * 3 + c] = rgba[pixel * 4 + c]!;
  }
  return { width, height, data };
}

/** [3, height, width] with `value(v, channel)` of each; `order` "bgr" puts blue first. */
export function planar(
  { width, height, data }: Rgb,
  value: (v: number, channel: number) => number,
  order: "rgb" | "bgr" = "rgb",
): Float32Array {
  const plane = width * height;
  const result = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const from = order === "rgb" ? channel : 2 - channel;
    for (let i = 0; i < plane; i++) result[channel * plane + i] = value(data[i * 3 + from]!, channel);
  }
  return result;
}
