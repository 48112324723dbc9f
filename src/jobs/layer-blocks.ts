import type { LayerChoices } from "../compress/allocate/decide.ts";
import { treatmentsFor } from "../compress/allocate/treatments.ts";
import { undominated } from "../compress/allocate/undominated.ts";
import { type Energies, joinResults } from "../compress/blocks/join-results.ts";
import { factsOfBlock, type RowBlocks, rowBlocksOf } from "../compress/blocks/row-blocks.ts";
import { RowReader } from "../compress/blocks/row-reader.ts";
import type { LayerResult } from "../compress/layer-result.ts";
import { LayerTreater } from "../compress/layer-treater.ts";
import { decodeResult, payloadsOf } from "../compress/result-file.ts";
import { untouchedLayer } from "../compress/treated-layer.ts";
import { type Candidate, type Treatment, UNTOUCHED } from "../compress/treatment.ts";
import { free } from "../onnx/free.ts";
import { elementCount } from "../onnx/tensor-value.ts";
import { readMoments } from "./gather-moments.ts";
import { resultKey, storeResult } from "./layer-results.ts";
import { nonzeroOf } from "./layer-table.ts";
import type { TreatContext } from "./treat-layer.ts";

/** Bytes of a weight that are held where its rows lie apart. */
const STRIP_BYTES = 16 * 2 ** 20;
/** Elements up to which a weight that cannot be cut is treated whole. */
const MOST_UNCUT = 2 ** 24;

/** What was made of each block, by all treatments. */
interface TreatedBlocks {
  readonly treatments: readonly Treatment[];
  readonly reason: string | null;
  readonly treated: readonly { readonly candidates: readonly Candidate[]; readonly energies: Energies }[];
}

/** Bytes of blocks' results that wait in memory to be joined; what is more waits in blobs, to be written and read once more. */
const MOST_WAITING = 8 * 2 ** 20;

/** A layer that is too large to be treated whole: a block of rows at a time, whose results are joined. */
export class LayerBlocks {
  readonly #context: TreatContext;
  readonly #index: number;
  /** null where its rows cannot be read apart. */
  readonly #parts: { readonly cut: RowBlocks; readonly reader: RowReader } | null;
  /** Results of blocks by their keys, as far as they wait in memory. */
  readonly #waiting = new Map<string, LayerResult>();
  #waitingBytes = 0;

  private constructor(
    context: TreatContext,
    index: number,
    parts: { readonly cut: RowBlocks; readonly reader: RowReader } | null,
  ) {
    this.#context = context;
    this.#index = index;
    this.#parts = parts;
  }

  /** null where the layer is treated whole. */
  static of(context: TreatContext, index: number): LayerBlocks | null {
    const { table } = context;
    const facts = table.facts[index]!;
    const cut = rowBlocksOf(facts);
    const reader = cut && RowReader.of(table.layers[index]!, facts, cut, STRIP_BYTES);
    if (cut && reader) return new LayerBlocks(context, index, { cut, reader });
    return elementCount(facts.dims) > MOST_UNCUT ? new LayerBlocks(context, index, null) : null;
  }

  /** Everything that may be done to the layer, each result a blob of its own. */
  async treat(): Promise<LayerChoices> {
    try {
      const treated = await this.#treatEach();
      return await this.#context.memory.holding(this.#waitingBytes, () => this.#join(treated));
    } finally {
      this.#parts?.reader.close();
      for (const result of this.#waiting.values()) freeResult(result);
    }
  }

  async #join({ treatments, reason, treated }: TreatedBlocks): Promise<LayerChoices> {
    const { table } = this.#context;
    const facts = table.facts[this.#index]!;
    const explicit = table.policy.mode === "explicit";
    const made = [];
    for (const [t, treatment] of treatments.entries()) {
      const blocks = [];
      for (const [b, block] of treated.entries()) {
        const result = await this.#resultOf(b, t);
        blocks.push({ result, candidate: block.candidates[t]!, energies: block.energies });
      }
      made.push({ treatment, ...joinResults(facts, this.#parts!.cut, blocks, table.opset) });
    }
    // Who treats a weight counts it; only where nothing is done to it is it read for that.
    const nonzero = made[0]?.result.stats.nonzero.original ?? (await nonzeroOf(table.layers[this.#index]!));
    const untouched = untouchedLayer(facts, null, nonzero, UNTOUCHED);
    await this.#store(0, untouched.result);
    const { time } = untouched.candidate;
    const joined = made.map(({ result, candidate, treatment }) => ({
      result,
      candidate: { ...candidate, treatment, time },
    }));
    const paying = joined.filter(({ candidate }) => candidate.bytes < untouched.candidate.bytes);
    const kept = [untouched, ...(explicit ? joined : undominated(paying))];
    for (const [candidate, { result }] of kept.entries())
      if (candidate > 0) await this.#store(candidate, result);
    return {
      layer: facts.name,
      candidates: kept.map(({ candidate }) => candidate),
      influence: null,
      losses: null,
      reason,
    };
  }

  /** Block by block all treatments, so that each block is read once. */
  async #treatEach(): Promise<TreatedBlocks> {
    const { table, host, blobs, memory, facts: shared } = this.#context;
    const facts = table.facts[this.#index]!;
    const nothing = (reason: string) => ({ treatments: [], reason, treated: [] });
    if (this.#parts === null) {
      return nothing("its weight is too large for memory, and its rows do not lie along one axis");
    }
    const { cut, reader } = this.#parts;
    // Samples may not reach it, and no trial of it is made that would tell.
    if (table.policy.mode !== "explicit" && table.conditional(this.#index)) {
      return nothing("it is part of a branch or loop, and is too large to be tried");
    }
    const seen = await readMoments(blobs, shared.moments, facts.name);
    const bias = await table.bias(this.#index);
    const kernels = await host.kernels();
    const globalRatio = shared.globalRatios[facts.name] ?? null;
    let chosen: { treatments: readonly Treatment[]; reason: string | null } | null = null;
    const treated: { candidates: readonly Candidate[]; energies: Energies }[] = [];
    for (const [b, block] of cut.blocks.entries()) {
      const { matrix, first, rows } = block;
      const at = matrix * facts.layout!.rows + first;
      const treater = new LayerTreater({
        facts: factsOfBlock(facts, cut.axis, block),
        weight: (await reader.read(block)) ?? null,
        nonzero: null,
        bias: bias?.slice(at, at + rows) ?? null,
        moments: seen && [seen[matrix] ?? null],
        kernels,
        opset: table.opset,
        globalRatio,
      });
      chosen ??= treatmentsFor(treater, table.policy, facts.name);
      if (treater.untreatable !== null) return nothing(treater.untreatable);
      const { treatments } = chosen;
      if (treatments.length === 0) break;
      const held = treater.workingBytes + reader.heldBytes + this.#waitingBytes;
      const candidates = await memory.holding(held, async () => {
        const found: Candidate[] = [];
        for (const [t, treatment] of treatments.entries()) {
          const { result, candidate } = treater.treat(treatment);
          await this.#putAside(b, t, result);
          found.push(candidate);
        }
        return found;
      });
      treated.push({ candidates, energies: treater.energies });
      treater.close();
    }
    return { ...chosen!, treated };
  }

  async #putAside(block: number, treatment: number, result: LayerResult): Promise<void> {
    const key = this.#blockKey(block, treatment);
    const bytes = result.weights.reduce((sum, { stored }) => sum + stored.bytes, 0);
    if (this.#waitingBytes + bytes > MOST_WAITING) {
      await storeResult(this.#context.blobs, key, result);
      return freeResult(result);
    }
    this.#waiting.set(key, result);
    this.#waitingBytes += bytes;
  }

  async #resultOf(block: number, treatment: number): Promise<LayerResult> {
    const key = this.#blockKey(block, treatment);
    return this.#waiting.get(key) ?? decodeResult(await this.#context.blobs.open(key));
  }

  #store(candidate: number, result: LayerResult): Promise<void> {
    const { job, blobs } = this.#context;
    return storeResult(blobs, resultKey(job, this.#index, candidate), result);
  }

  #blockKey(block: number, treatment: number): string {
    return `${this.#context.job.prefix}layers/${this.#index}/blocks/${block}/${treatment}`;
  }
}

/** Frees the numbers of a result that is stored. */
function freeResult(result: LayerResult): void {
  free(...payloadsOf(result).filter((bytes) => bytes instanceof Uint8Array));
}
