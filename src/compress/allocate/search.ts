import { STRENGTH_OCTAVES } from "./decide.ts";

/** What is allowed of an artifact. Absent limits are not looked at. */
export interface Limits {
  readonly maxBytes?: number;
  readonly maxMacs?: number;
  readonly maxLatencyRatio?: number;
  /** Least R² of any output. */
  readonly minR2?: number;
  /** Least top-1 agreement of any output of class scores. */
  readonly minTop1?: number;
}

/** What was measured on an assembled artifact; null where it could not be measured, which keeps no limit but top-1's. */
export interface Measurement {
  readonly bytes: number;
  readonly macs: number | null;
  readonly latencyRatio: number | null;
  readonly minR2: number | null;
  readonly top1: number | null;
}

/** Which figures the search is going to look at: sizes come without running the model. */
export type Wanted = "size" | "latency" | "fidelity";

export interface SearchOptions {
  /**
   * Assembles and measures the artifact of a strength; figures that are not wanted may be null, and so may R² when it is
   * less than `leastR2`.
   */
  readonly measure: (strength: number, wanted: readonly Wanted[], leastR2?: number) => Promise<Measurement>;
  readonly limits: Limits;
  /** What is wanted small among artifacts that keep the limits; bytes where nothing is said. */
  readonly cost?: (measurement: Measurement) => number;
  /** Measurements at most, about. Bisection with 8 of them finds a strength to within 1/256. */
  readonly steps?: number;
}

export interface SearchResult {
  readonly strength: number;
  readonly measurement: Measurement;
}

/** No strength keeps all limits. */
export class TargetUnreachableError extends Error {
  /** The measured artifact that came nearest. */
  readonly best: SearchResult;
  readonly missed: string;
  constructor(missed: string, best: SearchResult) {
    super(`the target cannot be reached: ${missed}`);
    this.name = "TargetUnreachableError";
    this.best = best;
    this.missed = missed;
  }
}

const DEFAULT_STEPS = 8;

/**
 * Finds the strength (0 … 1) whose measured artifact keeps every limit.
 *
 * With a limit on size, MACs or latency: the least strength that keeps it, so the best fidelity for that target,
 * and then the limits on fidelity have to hold. Without: the greatest strength at which fidelity still holds, so
 * the smallest file. More strength means a smaller file and less fidelity, on the whole: of all artifacts that were
 * measured and keep the limits the one of least cost is returned.
 *
 * @throws TargetUnreachableError with the nearest artifact
 */
export async function searchStrength(options: SearchOptions): Promise<SearchResult> {
  const { limits } = options;
  const costs = [limits.maxBytes, limits.maxMacs, limits.maxLatencyRatio];
  return costs.some((limit) => limit !== undefined) ? leastStrength(options) : greatestStrength(options);
}

async function leastStrength({
  measure,
  limits,
  steps = DEFAULT_STEPS,
}: SearchOptions): Promise<SearchResult> {
  const wanted: Wanted[] = limits.maxLatencyRatio === undefined ? ["size"] : ["size", "latency"];
  const at = async (strength: number) => ({ strength, measurement: await measure(strength, wanted) });
  let best = await at(0);
  if (costMissed(limits, best.measurement) !== null) {
    let low = 0;
    best = await at(1);
    const missed = costMissed(limits, best.measurement);
    if (missed !== null) throw new TargetUnreachableError(missed, best);
    for (let step = 0; step < steps; step++) {
      const middle = await at((low + best.strength) / 2);
      if (costMissed(limits, middle.measurement) === null) best = middle;
      else low = middle.strength;
    }
  }
  if (limits.minR2 === undefined && limits.minTop1 === undefined) return best;
  const full = {
    strength: best.strength,
    measurement: await measure(best.strength, [...wanted, "fidelity"]),
  };
  const missed = fidelityMissed(limits, full.measurement);
  if (missed !== null) throw new TargetUnreachableError(missed, full);
  return full;
}

async function greatestStrength({
  measure,
  limits,
  cost = ({ bytes }) => bytes,
  steps = DEFAULT_STEPS,
}: SearchOptions): Promise<SearchResult> {
  const points: Point[] = [];
  let best: SearchResult | undefined;
  let [low, high] = [0, 1];
  const widths: number[] = [];
  for (let step = 0; step < steps && high - low > RESOLUTION; step++) {
    widths.push(high - low);
    // Losses that do not grow as they should (a few answers that turn over) would have it creep along.
    const creeps = high - low > (widths.at(-2) ?? Number.POSITIVE_INFINITY) / 2;
    const strength = creeps ? (low + high) / 2 : nextStrength(points, low, high);
    const found = { strength, measurement: await measure(strength, ["size", "fidelity"], limits.minR2) };
    const used = lossUsed(limits, found.measurement);
    points.push({ strength, used });
    if (fidelityMissed(limits, found.measurement) !== null) {
      high = strength;
      continue;
    }
    if (best === undefined || cost(found.measurement) <= cost(best.measurement)) best = found;
    low = strength;
    if (used !== null && used >= ENOUGH_USED) break;
  }
  if (best !== undefined) return best;
  const none = { strength: 0, measurement: await measure(0, ["size", "fidelity"]) };
  const missed = fidelityMissed(limits, none.measurement);
  if (missed !== null) throw new TargetUnreachableError(missed, none);
  return none;
}

/** A strength that was measured, and what it used of the loss that is allowed; null where that is not known. */
interface Point {
  readonly strength: number;
  readonly used: number | null;
}

/** Where nothing is known yet: models of tens of layers come to rest about here. */
const FIRST_STRENGTH = 0.6;
const RESOLUTION = 1 / 512;
/** Share of the allowed loss from which on more strength would gain next to nothing. */
const ENOUGH_USED = 0.95;
/** Octaves of loss by which a step of strength may be taken to raise it. */
const SLOPES = [STRENGTH_OCTAVES / 16, STRENGTH_OCTAVES * 4] as const;

/**
 * The strength at which the allowed loss should be used up, as loss grows exponentially with strength: by the line through the
 * last two points whose loss is known, or by the budget's own slope from one; the middle of what is left where that tells nothing.
 */
function nextStrength(points: readonly Point[], low: number, high: number): number {
  if (points.length === 0) return FIRST_STRENGTH;
  const middle = (low + high) / 2;
  const [last, before] = points
    .filter(({ used }) => used !== null && used > 0)
    .map(({ strength, used }) => ({ strength, octaves: Math.log2(used!) }))
    .reverse();
  if (!last) return middle;
  const slope = before ? (last.octaves - before.octaves) / (last.strength - before.strength) : Number.NaN;
  const taken = slope >= SLOPES[0] && slope <= SLOPES[1] ? slope : STRENGTH_OCTAVES;
  const aimed = last.strength + (Math.log2((1 + ENOUGH_USED) / 2) - last.octaves) / taken;
  if (aimed >= 1 && high === 1) return points.some(({ strength }) => strength === 1) ? middle : 1;
  const margin = RESOLUTION / 2;
  return aimed > low + margin && aimed < high - margin ? aimed : middle;
}

/** What an artifact uses of the loss that the limits allow, 1 being all of it; null where a figure is missing. */
function lossUsed({ minR2, minTop1 }: Limits, { minR2: r2, top1 }: Measurement): number | null {
  const uses: number[] = [];
  if (minR2 !== undefined) {
    if (r2 === null) return null;
    uses.push((1 - r2) / (1 - minR2));
  }
  if (minTop1 !== undefined && top1 !== null) uses.push((1 - top1) / (1 - minTop1));
  const used = Math.max(0, ...uses);
  return Number.isFinite(used) ? used : null;
}

function costMissed(limits: Limits, measured: Measurement): string | null {
  const { maxBytes, maxMacs, maxLatencyRatio } = limits;
  if (maxBytes !== undefined && measured.bytes > maxBytes) {
    return `${measured.bytes} bytes at best, at most ${Math.floor(maxBytes)} were asked for`;
  }
  if (maxMacs !== undefined && (measured.macs === null || measured.macs > maxMacs)) {
    return measured.macs === null
      ? "the model's MACs cannot be counted"
      : `${measured.macs} MACs at best, at most ${Math.floor(maxMacs)} were asked for`;
  }
  if (maxLatencyRatio !== undefined && !((measured.latencyRatio ?? Infinity) <= maxLatencyRatio)) {
    return measured.latencyRatio === null
      ? "latency could not be measured"
      : `latency ratio ${measured.latencyRatio.toFixed(3)} at best, ${maxLatencyRatio} was asked for`;
  }
  return null;
}

function fidelityMissed(limits: Limits, measured: Measurement): string | null {
  const { minR2, minTop1 } = limits;
  if (minR2 !== undefined && !(measured.minR2 !== null && measured.minR2 >= minR2)) {
    const found = measured.minR2 === null ? "an output without R²" : `R² ${measured.minR2.toFixed(4)}`;
    return `${found} at this size, R² of at least ${minR2} was asked for`;
  }
  if (minTop1 !== undefined && measured.top1 !== null && !(measured.top1 >= minTop1)) {
    return `top-1 agreement ${measured.top1.toFixed(4)} at this size, at least ${minTop1} was asked for`;
  }
  return null;
}
