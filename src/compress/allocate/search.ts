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
  /** Bisection steps; 8 finds the strength to within 1/256. */
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
  let best: SearchResult | undefined;
  const holdsAt = async (strength: number): Promise<boolean> => {
    const found = { strength, measurement: await measure(strength, ["size", "fidelity"], limits.minR2) };
    if (fidelityMissed(limits, found.measurement) !== null) return false;
    if (best === undefined || cost(found.measurement) <= cost(best.measurement)) best = found;
    return true;
  };
  let low = 0;
  let high = 1;
  for (let step = 0; step < steps; step++) {
    const middle = (low + high) / 2;
    if (await holdsAt(middle)) low = middle;
    else high = middle;
  }
  if (high === 1) await holdsAt(1);
  if (best !== undefined) return best;
  const none = { strength: 0, measurement: await measure(0, ["size", "fidelity"]) };
  const missed = fidelityMissed(limits, none.measurement);
  if (missed !== null) throw new TargetUnreachableError(missed, none);
  return none;
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
