import { join } from "node:path";
import { createCanvas, GlobalFonts, type Image, loadImage } from "@napi-rs/canvas";
import { ROOT } from "./shared.ts";
import type { Part } from "./text.ts";

/** An RGB image of values 0..255, row by row. */
export interface Rgb {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** Photographs of face-api's demo. */
const PHOTOS = 6;

/** Photograph `index`, its centre square scaled to `size`. */
export async function photo(index: number, size: number): Promise<Rgb> {
  const image = await loaded(index);
  const side = Math.min(image.width, image.height);
  return scaled(image, size, { side, left: (image.width - side) / 2, top: (image.height - side) / 2 });
}

/** Squares of 100% down to 60% of the shorter side, at places spread over it. */
const SIDES = [1, 0.8, 0.7, 0.9, 0.6];

/** Photographs are cut into so many tiles across and down, every other one of which belongs to the same part. */
const TILES = [4, 3] as const;
const TILES_OF_PART = (TILES[0] * TILES[1]) / 2;

/**
 * Squares cut out of the tiles of one colour of a chessboard over each photograph, or of the other colour, so that the
 * parts share no pixel and neither has a side of its own; every other one mirrored.
 */
export async function naturalPhoto(index: number, part: Part, size: number): Promise<Rgb> {
  const view = Math.floor(index / PHOTOS);
  // Each round begins with another photograph, so that no step through the list meets the same one always.
  const at = (index + view) % PHOTOS;
  const image = await loaded(at);
  const tile = (view * 5 + at) % TILES_OF_PART;
  const row = Math.floor((2 * tile) / TILES[0]);
  const column = ((2 * tile) % TILES[0]) + ((row + part) % 2);
  const [width, height] = [image.width / TILES[0], image.height / TILES[1]];
  const side = SIDES[view % SIDES.length]! * Math.min(width, height);
  const [across, down] = [(index * 0.618) % 1, (index * 0.755) % 1];
  const left = column * width + across * (width - side);
  const top = row * height + down * (height - side);
  return scaled(image, size, { side, left, top, mirrored: view % 2 === 1 });
}

function loaded(index: number): Promise<Image> {
  return loadImage(join(ROOT, `node_modules/@vladmandic/face-api/demo/sample${index + 1}.jpg`));
}

interface Square {
  readonly side: number;
  readonly left: number;
  readonly top: number;
  readonly mirrored?: boolean;
}

function scaled(image: Image, size: number, { side, left, top, mirrored = false }: Square): Rgb {
  const canvas = createCanvas(size, size);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (mirrored) context.setTransform(-1, 0, 0, 1, size, 0);
  context.drawImage(image, left, top, side, side, 0, 0, size, size);
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
