import { NODE_BYTES } from "../layer-cost.ts";
import type { LayerFacts } from "../layer-facts.ts";
import type { LayerResult, LayerStats, ResultWeight } from "../layer-result.ts";
import type { Candidate } from "../treatment.ts";
import { joinStored } from "./join-stored.ts";
import type { RowBlocks } from "./row-blocks.ts";

/** What errors of a layer are relative to: tr(W·G·Wᵀ) under the moments as they were seen and as methods expect them, ‖W‖². */
export interface Energies {
  readonly seen: number;
  readonly expected: number;
  readonly weight: number;
}

/** One block under the treatment that all blocks of its layer get. */
export interface TreatedBlock {
  readonly result: LayerResult;
  readonly candidate: Candidate;
  readonly energies: Energies;
}

/** The blocks of a layer, in order, as what the treatment made of the layer. */
export function joinResults(
  facts: LayerFacts,
  { axis }: RowBlocks,
  blocks: readonly TreatedBlock[],
  opset: number,
): { readonly result: LayerResult; readonly candidate: Candidate } {
  const { treatment } = blocks[0]!.candidate;
  const ofRole = (role: string) =>
    blocks.flatMap(({ result }) => result.weights.filter((one) => one.role === role));
  const weights = ofRole("weight");
  const whole = joinStored(
    weights.map(({ stored }) => stored),
    axis,
    facts.dims,
    opset,
  );
  const joined: ResultWeight[] = whole ? [{ role: "weight", stored: whole }] : weights;
  const biases = ofRole("bias").map(({ stored }) => stored);
  const bias = biases.length > 0 ? joinStored(biases, 0, [facts.bias ?? 0], opset) : null;
  const kept = bias ? [...joined, { role: "bias", stored: bias }] : joined;
  const bytes =
    kept.reduce((sum, { stored }) => sum + stored.bytes, 0) + (joined.length > 1 ? NODE_BYTES : 0);
  const error = (own: (block: TreatedBlock) => readonly [error: number, energy: number]) => {
    let [lost, all] = [0, 0];
    for (const block of blocks) {
      const [part, energy] = own(block);
      if (part > 0) lost += part * energy;
      all += energy;
    }
    return lost === 0 ? 0 : lost / all;
  };
  const sum = (own: (stats: LayerStats) => number) =>
    blocks.reduce((total, { result }) => total + own(result.stats), 0);
  return {
    result: {
      layer: facts.name,
      op: facts.op,
      treatment,
      weights: kept,
      ...(joined.length > 1 && { joinAxis: axis }),
      chain: null,
      remarks: [...new Set(blocks.flatMap(({ result }) => result.remarks))],
      stats: {
        bytes: { original: facts.bytes, compressed: bytes },
        parameters: {
          original: sum(({ parameters }) => parameters.original),
          compressed: sum(({ parameters }) => parameters.compressed),
        },
        nonzero: {
          original: sum(({ nonzero }) => nonzero.original),
          compressed: sum(({ nonzero }) => nonzero.compressed),
        },
        macs: { original: facts.macs, compressed: facts.macs },
        layerError: error(({ result, energies }) => [result.stats.layerError, energies.seen]),
        weightError: error(({ result, energies }) => [result.stats.weightError, energies.weight]),
      },
    },
    candidate: {
      treatment,
      bytes,
      macs: facts.macs,
      time: blocks[0]!.candidate.time,
      error: error(({ candidate, energies }) => [candidate.error, energies.expected]),
    },
  };
}
