import type { Fidelity, Latency } from "../../schemas/report.ts";
import { accuracyOf, countRight, type Tally } from "./accuracy.ts";
import { FidelityAccumulator, leastR2, leastTop1 } from "./fidelity.ts";
import { type LatencyOptions, measureLatency } from "./latency.ts";
import type { Reference } from "./reference.ts";
import type { Executable } from "./segments/executable.ts";

export interface Expected {
  /** Least R² of any output; null where one has none. */
  readonly r2: number | null;
  /** Least top-1 agreement of any output of class scores; null where there is none. */
  readonly top1: number | null;
}

export interface Comparison {
  readonly fidelity: Fidelity;
  /** What inputs that nobody has seen can be expected to get, by the feeds that were held out where there are enough. */
  readonly expected: Expected;
  /** Top-1 on the labels; null without labels or class scores. */
  readonly accuracy: { readonly original: number; readonly compressed: number } | null;
}

/**
 * Runs a candidate on the reference's samples and compares its answers, one sample at a time. One session, given
 * back at the end, so that search and evaluation never hold two models in the runtime's heap.
 * @throws OutputMismatchError, RuntimeLoadError or RuntimeRunError
 */
export async function compareWith(reference: Reference, candidate: Executable): Promise<Comparison> {
  return (await compareWhile(reference, candidate, () => true))!;
}

/** compareWith that gives up, with null, as soon as some output's R² cannot reach `leastR2` any more. */
export async function compareAbove(
  leastR2: number,
  reference: Reference,
  candidate: Executable,
): Promise<Comparison | null> {
  return compareWhile(reference, candidate, (soFar) => soFar.canReach(leastR2, reference.spreads));
}

async function compareWhile(
  reference: Reference,
  candidate: Executable,
  worthwhile: (soFar: FidelityAccumulator) => boolean,
): Promise<Comparison | null> {
  const session = await candidate.open(reference.feeds);
  try {
    const accumulator = new FidelityAccumulator(reference.outputNames);
    const heldOut = new FidelityAccumulator(reference.outputNames);
    const tallies: (Tally | null)[] = [];
    let i = 0;
    for await (const answer of session.runAll(reference.feeds)) {
      accumulator.add(reference.outputs[i]!, answer);
      if (!worthwhile(accumulator)) return null;
      if (reference.heldOut.has(i)) heldOut.add(reference.outputs[i]!, answer);
      if (reference.labels !== null) tallies.push(countRight(answer, reference.labels[i]!));
      i++;
    }
    const outputs = accumulator.outputs();
    const original = accuracyOf(reference.tallies);
    const compressed = accuracyOf(tallies);
    return {
      fidelity: { data: reference.data, samples: reference.samples, outputs, min_r2: leastR2(outputs) },
      expected: expectedOf(accumulator, reference.heldOut.size > 0 ? heldOut : null),
      accuracy: original === null || compressed === null ? null : { original, compressed },
    };
  } finally {
    await session.release();
  }
}

/** Rows of class scores that tell 99% agreement from less; with fewer held out, all samples together have to do. */
const ROWS_ENOUGH = 200;

function expectedOf(all: FidelityAccumulator, heldOut: FidelityAccumulator | null): Expected {
  const r2 = leastR2(all.outputs());
  const enough = heldOut !== null && heldOut.rows >= ROWS_ENOUGH;
  const unseen = heldOut === null ? r2 : heldOut.cautiousR2();
  return {
    r2: r2 === null || unseen === null ? null : Math.min(r2, unseen),
    top1: enough ? heldOut.cautiousTop1() : leastTop1(all.outputs()),
  };
}

/**
 * Latency of both models on one sample; null where one of them runs in segments here, whose loading would be what is
 * measured. Both are loaded at once, since interleaving needs them: the runtime's heap holds about four times the bytes
 * of each.
 */
export async function latencyOf(
  reference: Reference,
  original: Executable,
  compressed: Executable,
  options: LatencyOptions,
): Promise<Latency | null> {
  const before = await original.open([reference.single]);
  try {
    if (!before.isWhole) return null;
    const after = await compressed.open([reference.single]);
    try {
      if (!after.isWhole) return null;
      return await measureLatency(
        () => before.run(reference.single),
        () => after.run(reference.single),
        options,
      );
    } finally {
      await after.release();
    }
  } finally {
    await before.release();
  }
}
