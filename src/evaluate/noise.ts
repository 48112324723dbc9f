import type { Random } from "./random.ts";

/**
 * A made-up picture in [0, 1]: opaque rectangles of all sizes over each other, which have the edges and occlusions of
 * natural images (the dead leaves model, Lee, Mumford & Huang, 2001), with smooth shading.
 * @param extents of the axes of the picture, one (a signal) or two.
 */
export function picture(
  extents: readonly [number] | readonly [number, number],
  random: Random,
): Float64Array {
  const [height, width] = extents.length === 1 ? [1, extents[0]] : extents;
  const shading = smoothNoise(extents, random);
  const leaves = new Float64Array(height * width).fill(random.uniform());
  for (let leaf = 0; leaf < LEAVES; leaf++) {
    // 1 / (1 + 63 u) has the density of 1/size² between 1/64 and 1: every scale covers the same area in the end.
    const size = 1 / (1 + 63 * random.uniform());
    const rows = Math.ceil(height * size * (0.3 + 0.7 * random.uniform()));
    const columns = Math.ceil(width * size * (0.3 + 0.7 * random.uniform()));
    const top = random.integer(height + rows) - rows;
    const left = random.integer(width + columns) - columns;
    const value = random.uniform();
    for (let y = Math.max(0, top); y < Math.min(height, top + rows); y++) {
      leaves.fill(
        value,
        y * width + Math.max(0, left),
        y * width + Math.max(0, Math.min(width, left + columns)),
      );
    }
  }
  return leaves.map((value, i) => 0.7 * value + 0.3 * shading[i]!);
}

const LEAVES = 96;

/**
 * Smooth noise in [0, 1] over the last axes of a shape: random values on grids of 2, 4, 8, … cells, interpolated
 * linearly and added with equal weight, which is the 1/f amplitude spectrum of natural images (Field, 1987). White
 * noise would leave every later layer near its mean and measure nothing. Only additions and multiplications, so that
 * the bits are the same on every host.
 * @param extents of the smooth axes, one or two.
 */
export function smoothNoise(
  extents: readonly [number] | readonly [number, number],
  random: Random,
): Float64Array {
  const [height, width] = extents.length === 1 ? [1, extents[0]] : extents;
  const sum = new Float64Array(height * width);
  for (let cells = 2; cells <= Math.max(2, Math.max(height, width) / 2); cells *= 2) {
    addOctave(sum, height, width, cells, random);
  }
  return stretched(sum);
}

function addOctave(sum: Float64Array, height: number, width: number, cells: number, random: Random): void {
  const longest = Math.max(height, width);
  const rows = height === 1 ? 1 : Math.ceil((cells * height) / longest) + 2;
  const columns = Math.ceil((cells * width) / longest) + 2;
  const grid = Float64Array.from({ length: rows * columns }, () => random.uniform());
  for (let y = 0; y < height; y++) {
    const v = (y * cells) / longest;
    const top = Math.floor(v);
    const below = Math.min(top + 1, rows - 1);
    for (let x = 0; x < width; x++) {
      const u = (x * cells) / longest;
      const left = Math.floor(u);
      const upper = mix(grid[top * columns + left]!, grid[top * columns + left + 1]!, u - left);
      const lower = mix(grid[below * columns + left]!, grid[below * columns + left + 1]!, u - left);
      sum[y * width + x]! += mix(upper, lower, v - top);
    }
  }
}

function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t;
}

function stretched(values: Float64Array): Float64Array {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const range = high - low || 1;
  return values.map((value) => (value - low) / range);
}
