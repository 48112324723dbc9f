import type { Latency } from "../../schemas/report.ts";

export interface LatencyOptions {
  /** Milliseconds; async, because workerd's clock stands still between I/O. */
  readonly now: () => Promise<number>;
  /** Time for the whole measurement, ms; a run that has begun is not cut off. */
  readonly budget?: number;
  /** Timed blocks a side, at most. */
  readonly runs?: number;
}

/** A block of runs lasts at least this long, ms, so that the clock's own step and cost do not count. */
const BLOCK = 20;
const MAX_REPEATS = 256;

/**
 * Latency of one run of each model, in ms: the median over blocks of runs, interleaved original, compressed,
 * compressed, original, …, so that a machine that slows down or speeds up weighs on both alike. One run of each warms
 * up first and tells how many runs make a block.
 */
export async function measureLatency(
  original: () => Promise<unknown>,
  compressed: () => Promise<unknown>,
  { now, budget = 10_000, runs = 15 }: LatencyOptions,
): Promise<Latency> {
  const deadline = (await now()) + budget;
  const idle = median([await elapsed(now, async () => {}), await elapsed(now, async () => {})]);
  const time = async (run: () => Promise<unknown>, repeats: number) => {
    const total = await elapsed(now, async () => {
      for (let i = 0; i < repeats; i++) await run();
    });
    return Math.max(0, total - idle) / repeats;
  };
  await original();
  await compressed();
  const slower = Math.max(await time(original, 1), await time(compressed, 1));
  const repeats = Math.min(
    MAX_REPEATS,
    Math.max(1, Math.ceil(BLOCK / Math.max(slower, BLOCK / MAX_REPEATS))),
  );
  const times = { original: [] as number[], compressed: [] as number[] };
  for (let block = 0; block < runs && (block === 0 || (await now()) < deadline); block++) {
    const originalFirst = block % 2 === 0;
    if (originalFirst) times.original.push(await time(original, repeats));
    times.compressed.push(await time(compressed, repeats));
    if (!originalFirst) times.original.push(await time(original, repeats));
  }
  return {
    original: median(times.original),
    compressed: median(times.compressed),
    runs: times.original.length,
  };
}

async function elapsed(now: () => Promise<number>, work: () => Promise<void>): Promise<number> {
  const start = await now();
  await work();
  return (await now()) - start;
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}
