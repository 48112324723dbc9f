import { type Exposed, probeModel } from "../compress/allocate/probe.ts";
import { siteOf } from "../compress/layer-of-model.ts";
import { storedAs } from "../compress/weight.ts";
import { FidelityAccumulator, leastR2 } from "../evaluate/fidelity.ts";
import type { Reference } from "../evaluate/reference.ts";
import type { BatchSession } from "../evaluate/segments/executable.ts";
import { DataType } from "../onnx/data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../onnx/tensor-value.ts";
import { RuntimeLoadError, RuntimeRunError } from "../runtime/errors.ts";
import type { LayerTable } from "./layer-table.ts";
import type { TrialWeights } from "./trial-file.ts";
import type { Workbench } from "./workbench.ts";

/** Multiply-accumulates that all trials together may take: about as many as the search that follows. */
const PROBE_MACS = 150e9;
const MOST_TRIALS_PER_LAYER = 12;
const MOST_FEEDS = 4;
/** Trials per layer that are worth more than another feed. */
const FEW_TRIALS = 3;
/** Bytes of weights that are held and fed beside the model; the changes of larger models are not tried one by one. */
const MOST_WEIGHT_BYTES = 24 * 2 ** 20;
const FLOAT_BYTES = 4;

/**
 * Measures what changes of single layers do to the outputs, so that the choice among them knows which layers bear it. One
 * session whose weights and biases are inputs serves all trials.
 */
export class OutputProbe {
  /** How often each layer may be tried. */
  readonly trials: number;
  readonly #session: BatchSession;
  readonly #reference: Reference;
  readonly #constants: Readonly<Record<string, TensorValue>>;
  /** Inputs of each layer, by its place. */
  readonly #inputs: ReadonlyMap<number, LayerInputs>;
  /** Feeds of a trial. */
  readonly #feeds: number;
  #unchanged = 0;

  private constructor(
    session: BatchSession,
    reference: Reference,
    constants: Readonly<Record<string, TensorValue>>,
    inputs: ReadonlyMap<number, LayerInputs>,
    trials: number,
    feeds: number,
  ) {
    this.#feeds = feeds;
    this.#session = session;
    this.#reference = reference;
    this.#constants = constants;
    this.#inputs = inputs;
    this.trials = trials;
  }

  /** null where the model cannot be probed: it is too large, or an operator wants its weights constant. */
  static async open(table: LayerTable, bench: Workbench, macs: number | null): Promise<OutputProbe | null> {
    const found: { index: number; weight: Exposed; bias: Exposed | null }[] = [];
    let bytes = 0;
    for (const [index, layer] of table.layers.entries()) {
      const facts = table.facts[index]!;
      if (facts.fixed !== null || table.policy.layers.get(facts.name)?.skip) continue;
      const { weight, node, bias } = siteOf(layer);
      const { dims, dataType } = facts;
      bytes += elementCount(dims) * FLOAT_BYTES;
      found.push({
        index,
        weight: { ...weight, dims, dataType },
        bias:
          bias === null
            ? null
            : { graph: node.graph, name: bias, dims: [facts.bias ?? 0], dataType: DataType.FLOAT },
      });
    }
    if (found.length === 0 || bytes > MOST_WEIGHT_BYTES) return null;
    const constants: Record<string, TensorValue> = {};
    const inputs = new Map<number, LayerInputs>();
    const { model, inputs: names } = probeModel(
      table.model,
      found.flatMap(({ weight, bias }) => (bias ? [weight, bias] : [weight])),
    );
    let at = 0;
    for (const { index, weight, bias } of found) {
      const own = { weight: names[at++]!, bias: bias ? names[at++]! : null };
      inputs.set(index, own);
      const read = await table.weight(index);
      if (read === undefined) return null;
      constants[own.weight] = {
        dataType: weight.dataType,
        dims: weight.dims,
        data: storedAs(weight.dataType, read.values),
      };
      if (own.bias) {
        constants[own.bias] = {
          dataType: DataType.FLOAT,
          dims: bias!.dims,
          data: (await table.bias(index))!,
        };
      }
    }
    try {
      const reference = await bench.reference();
      const fed = { ...reference.feeds[0], ...constants };
      const session = await (await bench.run(model)).open([fed]);
      const runs = PROBE_MACS / Math.max(1, macs ?? 1e9) / found.length;
      const feeds = Math.max(1, Math.min(MOST_FEEDS, reference.feeds.length, Math.floor(runs / FEW_TRIALS)));
      const trials = Math.min(MOST_TRIALS_PER_LAYER, Math.floor(runs / feeds));
      const probe = new OutputProbe(session, reference, constants, inputs, trials, feeds);
      probe.#unchanged = await probe.#lossWith({});
      return probe;
    } catch (error) {
      if (error instanceof RuntimeLoadError || error instanceof RuntimeRunError) return null;
      throw error;
    }
  }

  /**
   * The largest 1 − R² of any output with this layer treated, 1 where that is no number; and whether it differs from
   * that of the model as it is: where it never does, the samples do not use the layer.
   */
  async loss(index: number, { weight, bias }: TrialWeights): Promise<{ loss: number; differs: boolean }> {
    const inputs = this.#inputs.get(index)!;
    const changed: Record<string, TensorValue> = {
      [inputs.weight]: { ...this.#constants[inputs.weight]!, data: weight },
    };
    if (inputs.bias && bias) changed[inputs.bias] = { ...this.#constants[inputs.bias]!, data: bias };
    const loss = await this.#lossWith(changed);
    return { loss: Number.isFinite(loss) ? Math.max(0, loss) : 1, differs: loss !== this.#unchanged };
  }

  /** The layer's weight as the model has it. */
  weight(index: number): TensorArray {
    return this.#constants[this.#inputs.get(index)!.weight]!.data;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  async #lossWith(changed: Readonly<Record<string, TensorValue>>): Promise<number> {
    const { feeds, outputs, outputNames } = this.#reference;
    const accumulator = new FidelityAccumulator(outputNames);
    const fed = feeds.slice(0, this.#feeds).map((feed) => ({ ...feed, ...this.#constants, ...changed }));
    let i = 0;
    for await (const answer of this.#session.runAll(fed)) accumulator.add(outputs[i++]!, answer);
    return 1 - (leastR2(accumulator.outputs()) ?? 0);
  }
}

interface LayerInputs {
  readonly weight: string;
  readonly bias: string | null;
}
