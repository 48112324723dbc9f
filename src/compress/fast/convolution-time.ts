import { MOST_POINTS } from "./cook-toom.ts";

/** What decides the time of a convolution of one group, a rows × columns window at step 1 along each tiled axis. */
export interface ConvolutionSize {
  readonly batch: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly kernel: readonly [rows: number, columns: number];
  readonly strides: readonly [rows: number, columns: number];
  /** Positions of the output. */
  readonly output: readonly [rows: number, columns: number];
}

/** Outputs that are computed together along each axis; 1: that axis is done the plain way. */
export type Tile = readonly [rows: number, columns: number];

/** What a runtime takes, on one thread. */
interface Rates {
  /** Multiply-accumulates of a convolution a microsecond. */
  readonly macs: number;
  /** Microseconds for a transformed element, without its arithmetic. */
  readonly element: number;
  /** Multiply-accumulates of the transforms a microsecond. */
  readonly transformMacs: number;
  /** Microseconds for the nodes that there are more. */
  readonly overhead: number;
}

/** Where it is to be fast: in onnxruntime-web only, or in native ONNX Runtime as well. */
export type Target = "web" | "everywhere";

/**
 * Fitted by hand to onnxruntime-node and -web 1.30, one thread, 3×3 convolutions of 16 to 384 channels: "everywhere" to
 * CPU time in native ONNX Runtime of 39 pairs of size and tile between pointwise convolutions, 8² to 80² positions;
 * "web" to time by the clock of single convolutions, 8² to 160². Native ONNX Runtime has convolutions 4 times faster
 * and a blocked memory format that the transforms have to leave, so that what wins there wins more in onnxruntime-web.
 */
const RATES: { readonly [target in Target]: Rates } = {
  everywhere: { macs: 43e3, element: 1.8e-3, transformMacs: 40e3, overhead: 40 },
  web: { macs: 11.2e3, element: 1e-3, transformMacs: 11.2e3, overhead: 40 },
};

/** Columns of a matrix product at which it runs at half its speed. */
const HALF_SPEED_COLUMNS = 12;

/** Microseconds of the convolution as it is. */
export function plainTime(size: ConvolutionSize, target: Target): number {
  const { batch, inputChannels, outputChannels, kernel, output } = size;
  const macs = batch * inputChannels * outputChannels * kernel[0] * kernel[1] * output[0] * output[1];
  return macs / RATES[target].macs;
}

/** Microseconds of the convolution done tile by tile. */
export function tiledTime(size: ConvolutionSize, tile: Tile, target: Target): number {
  const rates = RATES[target];
  const { batch, inputChannels, outputChannels, kernel, output, strides } = size;
  let products = 1;
  let taps = 1;
  let spread = 1;
  let positions = 1;
  let inputPositions = 1;
  for (const axis of [0, 1] as const) {
    const tiled = tile[axis] > 1;
    const points = tiled ? tile[axis] + kernel[axis] - 1 : 1;
    const tiles = Math.ceil(output[axis] / tile[axis]);
    products *= tiled ? points : kernel[axis];
    taps *= points;
    spread *= tile[axis];
    positions *= tiles;
    inputPositions *= tiled ? tiles : tiles * strides[axis];
  }
  const speed = (rates.macs * positions) / (positions + HALF_SPEED_COLUMNS);
  const macs = batch * inputChannels * outputChannels * products * positions;
  const spreadOut = batch * inputChannels * taps * inputPositions;
  const joined = batch * outputChannels * taps * positions;
  const transforms = (spreadOut * taps + joined * spread) / rates.transformMacs;
  return macs / speed + (spreadOut + joined) * rates.element + transforms + rates.overhead;
}

const TILES: readonly Tile[] = [
  [4, 1],
  [6, 1],
  [2, 1],
  [1, 4],
  [1, 6],
  [1, 2],
  [4, 4],
];

/** A tile has to be this much faster by the model, which may err. */
const LEAST_GAIN = 1.05;
/** Tiling both axes costs digits, so it has to be worth it. */
const LEAST_GAIN_OF_BOTH = 1.1;

/** The tile that makes the convolution fastest, and the time that it saves, µs; null where none pays. */
export function bestTile(
  size: ConvolutionSize,
  target: Target,
): { readonly tile: Tile; readonly saved: number } | null {
  const plain = plainTime(size, target);
  let best: { tile: Tile; time: number } | null = null;
  for (const tile of TILES) {
    if (!([0, 1] as const).every((axis) => fits(size, tile, axis))) continue;
    const both = tile[0] > 1 && tile[1] > 1;
    const time = tiledTime(size, tile, target);
    if (time * LEAST_GAIN > plain) continue;
    if (!best || time * (both ? LEAST_GAIN_OF_BOTH : 1) < best.time) best = { tile, time };
  }
  return best && { tile: best.tile, saved: plain - best.time };
}

function fits({ kernel, strides }: ConvolutionSize, tile: Tile, axis: 0 | 1): boolean {
  if (tile[axis] === 1) return true;
  return kernel[axis] > 1 && strides[axis] === 1 && tile[axis] + kernel[axis] - 1 <= MOST_POINTS;
}
