import type { LayerChoices } from "../compress/allocate/decide.ts";
import { withMeasuredLosses } from "../compress/allocate/probe.ts";
import { storedAs } from "../compress/weight.ts";
import { FidelityAccumulator, leastR2 } from "../evaluate/fidelity.ts";
import { elementCount, type TensorValue } from "../onnx/tensor-value.ts";
import { modelBytes } from "../onnx/write.ts";
import { RuntimeLoadError, RuntimeRunError } from "../runtime/errors.ts";
import type { Session } from "../runtime/runtime.ts";
import { once } from "./compress-layers.ts";
import type { Blobs, CompressionJob, JobHost } from "./job.ts";
import type { LayerTable, Probe } from "./layer-table.ts";
import type { Workbench } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly table: LayerTable;
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly blobs: Blobs;
  /** Of one run of the upload; null where they cannot be counted. */
  readonly macs: number | null;
}

/** Multiply-accumulates that all trials together may take: about as many as the search that follows. */
const PROBE_MACS = 100e9;
const MOST_RUNS = 1500;
const MOST_SAMPLES = 4;
/** Bytes of weights that are held and fed beside the model; of larger models errors are taken for losses. */
const MOST_WEIGHT_BYTES = 24 * 2 ** 20;
const FLOAT_BYTES = 4;

/**
 * Measures what changes of single layers do to the outputs, so that the choice among them knows which layers
 * bear it. One session whose weights are inputs serves all trials.
 * @returns where the choices with their losses are stored; null where the model cannot be probed
 */
export async function probeLayers(context: Context): Promise<{ key: string } | null> {
  const { job, table, host, blobs } = context;
  const probe = await table.probe();
  const bytes = probe.layers.reduce((sum, { facts }) => sum + elementCount(facts.dims) * FLOAT_BYTES, 0);
  if (probe.layers.length === 0 || bytes > MOST_WEIGHT_BYTES) return null;
  let measured: readonly LayerChoices[];
  try {
    const session = await (await host.runtime()).load(await modelBytes(probe.model));
    try {
      measured = await measure(context, probe, session);
    } finally {
      await session.release();
    }
  } catch (error) {
    // A few operators want their weights constant; such a model is chosen for by its weights' errors.
    if (error instanceof RuntimeLoadError || error instanceof RuntimeRunError) return null;
    throw error;
  }
  const losses = new Map(measured.map((choices) => [choices.layer, choices]));
  const all = (await table.choices()).map((choices) => losses.get(choices.layer) ?? choices);
  const encoded = new TextEncoder().encode(JSON.stringify(all));
  const key = `${job.prefix}choices.json`;
  await blobs.put(key, once(encoded), encoded.byteLength);
  return { key };
}

async function measure(context: Context, probe: Probe, session: Session): Promise<LayerChoices[]> {
  const reference = await context.bench.reference();
  const samples = Math.min(MOST_SAMPLES, reference.feeds.length);
  const weights: Record<string, TensorValue> = {};
  for (const [i, { facts, load }] of probe.layers.entries()) {
    const { dataType, values } = await load();
    weights[probe.inputs[i]!] = { dataType, dims: facts.dims, data: storedAs(dataType, values) };
  }
  const loss = async (layer: number, weight: TensorValue): Promise<number> => {
    const accumulator = new FidelityAccumulator(reference.outputNames);
    for (let sample = 0; sample < samples; sample++) {
      const feeds = { ...reference.feeds[sample]!, ...weights, [probe.inputs[layer]!]: weight };
      accumulator.add(reference.outputs[sample]!, await session.run(feeds));
    }
    return 1 - (leastR2(accumulator.outputs()) ?? 0);
  };
  return withMeasuredLosses(probe.layers, loss, trials(context.macs, samples));
}

/** By counted work and not by the clock, so that every host makes the same trials. */
function trials(macs: number | null, samples: number): number {
  return Math.min(MOST_RUNS, Math.floor(PROBE_MACS / samples / Math.max(1, macs ?? 1e9)));
}
