import type { LayerResult } from "./layer-result.ts";

/** The results of a model's layers when all that they share is counted. */
export interface Settled {
  /** With their part of the weights that they share in their figures, in the order given. */
  readonly results: readonly LayerResult[];
  /** Layers that the results would make larger, and whose results are to be left out. */
  readonly dropped: readonly string[];
}

/**
 * Counts each shared weight once: all results that hold it count an equal part, so that the figures of all layers
 * add up to what is stored. A layer that comes out larger is dropped, and the others bear its part.
 */
export function settled(results: readonly LayerResult[]): Settled {
  const dropped = new Set<string>();
  for (;;) {
    const charged = withShared(results, dropped);
    const larger = charged.filter(
      ({ layer, weights, stats: { bytes } }) =>
        weights.length > 0 && !dropped.has(layer) && bytes.compressed > bytes.original,
    );
    if (larger.length === 0) return { results: charged, dropped: [...dropped] };
    for (const { layer } of larger) dropped.add(layer);
  }
}

function withShared(results: readonly LayerResult[], dropped: ReadonlySet<string>): LayerResult[] {
  const holders = new Map<string, string[]>();
  for (const { layer, weights } of results) {
    for (const { shared } of weights) {
      if (!shared || dropped.has(layer)) continue;
      holders.set(shared.key, [...(holders.get(shared.key) ?? []), layer]);
    }
  }
  return results.map((result) => {
    let { bytes, parameters, nonzero } = result.stats;
    for (const { stored, shared } of result.weights) {
      if (!shared || dropped.has(result.layer)) continue;
      const among = holders.get(shared.key)!;
      const place = among.indexOf(result.layer);
      const part = (whole: number) => partOf(whole, place, among.length);
      bytes = { ...bytes, compressed: bytes.compressed + part(stored.bytes) };
      parameters = { ...parameters, compressed: parameters.compressed + part(shared.parameters) };
      nonzero = { ...nonzero, compressed: nonzero.compressed + part(shared.nonzero) };
    }
    return { ...result, stats: { ...result.stats, bytes, parameters, nonzero } };
  });
}

/** Whole parts that add up. */
function partOf(whole: number, place: number, count: number): number {
  return Math.floor(((place + 1) * whole) / count) - Math.floor((place * whole) / count);
}
