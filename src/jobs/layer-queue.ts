import { workerdKernels } from "../kernels/wasm/workerd.ts";
import { workerdRuntime } from "../runtime/workerd.ts";
import { workerdNow } from "../runtime/workerd-clock.ts";
import type { Bindings, LayerMessage } from "../store/bindings.ts";
import { jobPrefix } from "../store/object-keys.ts";
import type { Store } from "../store/store.ts";
import { type Failure, failureOf } from "./failures.ts";
import type { LayerWork } from "./job.ts";
import { LayerTasks, treatedPrefix } from "./layer-tasks.ts";
import { freeJob } from "./lifecycle.ts";
import { StorageError, StoredBlobs } from "./stored-blobs.ts";
import { WasmHomes } from "./wasm-homes.ts";
import { type Lazy, lazy } from "./workbench.ts";

/** The event that wakes a job whose layers are all treated, or one of whose layers has failed it. */
export const LAYERS_DONE = "layers-done";

/**
 * Layers of one job that are in the queue at a time. Whoever has treated one goes on to the one that many further, and sends for it
 * when its turn is over, so that the queue holds a little of every job and a large one does not stand in front of the others.
 */
const AT_ONCE = 100;
/** For which a message has layers treated: reading the model's graph and a trip through the queue cost as much as a small layer. */
const TURN_MS = 2_000;
/** A layer whose treatment has failed that often is left as it was. */
const MOST_ATTEMPTS = 5;
const LONGEST_DELAY_S = 300;
/** Messages in one call of the queue. */
const SEND_AT_ONCE = 100;

/** What a look at the layers of a job has found. */
export interface LayersLeft {
  readonly missing: number;
  readonly failure: Failure | null;
  /** When it was, in milliseconds since 1970. */
  readonly at: number;
}

/** The isolate that had the layer was lost every time, which tells of no error. */
class IsolateLostError extends Error {
  override name = "IsolateLostError";
}

/**
 * Looks which layers are missing, and sends for them unless some have come since the last look.
 * @param before how many were missing then; null at the first look
 */
export async function giveOutLayers(
  compression: string,
  work: LayerWork,
  before: number | null,
  store: Store,
  bindings: Bindings,
): Promise<LayersLeft> {
  const at = Date.now();
  const failure = await store.objects.find(failureKey(work));
  if (failure !== null) return { missing: 0, failure: JSON.parse(failure), at };
  const count = work.bytes.length;
  const treated = new Set(await store.objects.names(treatedPrefix(work)));
  const missing = [...work.bytes.keys()].filter((layer) => !treated.has(String(layer)));
  if (before !== null && missing.length < before) return { missing: missing.length, failure: null, at };
  const stride = Math.max(1, Number(bindings.LAYERS_AT_ONCE ?? AT_ONCE));
  const first = new Map<number, number>();
  for (const layer of missing) if (!first.has(layer % stride)) first.set(layer % stride, layer);
  const messages = [...first.values()].map((layer) => ({
    body: { compression, layer, stride, count, progress: work.progress },
  }));
  for (let from = 0; from < messages.length; from += SEND_AT_ONCE) {
    await bindings.LAYERS.sendBatch(messages.slice(from, from + SEND_AT_ONCE));
  }
  return { missing: missing.length, failure: null, at };
}

/**
 * Treats the layers that a batch of messages asks for. A message that comes twice, late or for a job that has ended does no harm.
 * @param turn milliseconds after which a message begins no further layer
 */
export async function treatBatch(
  messages: readonly Message<LayerMessage>[],
  store: Store,
  bindings: Bindings,
  turn = TURN_MS,
): Promise<void> {
  // Messages of one job share what they open.
  const opened = new Map<string, Lazy<LayerTasks>>();
  const open = (prefix: string): Promise<LayerTasks> => {
    const tasks = opened.get(prefix) ?? lazy(() => openTasks(prefix, store));
    opened.set(prefix, tasks);
    return tasks();
  };
  for (const message of messages) {
    try {
      await answer(message, open, store, bindings, turn);
      message.ack();
    } catch (error) {
      console.warn(
        `layer ${message.body.layer} of ${message.body.compression}, attempt ${message.attempts}:`,
        error,
      );
      message.retry({ delaySeconds: Math.min(2 ** (message.attempts - 1), LONGEST_DELAY_S) });
    }
  }
}

function openTasks(prefix: string, store: Store): Promise<LayerTasks> {
  const homes = new WasmHomes(workerdRuntime, workerdKernels);
  const host = {
    blobs: new StoredBlobs(store.objects),
    kernels: () => homes.kernels(),
    wasmBytes: () => homes.bytes(),
    now: workerdNow,
  };
  return LayerTasks.open({ prefix }, host);
}

async function answer(
  { body, attempts }: Message<LayerMessage>,
  open: (prefix: string) => Promise<LayerTasks>,
  store: Store,
  bindings: Bindings,
  turn: number,
): Promise<void> {
  const { compression, stride, count } = body;
  const row = await store.compressions.ofJob(compression);
  if (row?.status !== "running") return;
  const job = { prefix: jobPrefix(row.accountId, compression) };
  const treated = new Set(await store.objects.names(treatedPrefix(job)));
  const begun = Date.now();
  let isFirst = true;
  for (let layer = body.layer; layer < count; layer += stride) {
    if (treated.has(String(layer))) {
      // One that comes again was lost on its way through these layers; one that was doubled has a twin that goes on.
      if (attempts > 1) continue;
      break;
    }
    if (!isFirst && Date.now() - begun >= turn) {
      await bindings.LAYERS.send({ ...body, layer });
      break;
    }
    try {
      const failure = await treat(await open(job.prefix), layer, isFirst ? attempts : 1);
      if (failure) await store.objects.putBytes(failureKey(job), JSON.stringify(failure));
      const after = await store.compressions.ofJob(compression);
      // It ended meanwhile, and what was written since would stay.
      if (after?.status !== "running") return freeJob(store, after ?? row);
      if (failure) return wake(bindings, compression);
    } catch (error) {
      if (isFirst) throw error;
      // Its attempts are its own, and are counted from here.
      await bindings.LAYERS.send({ ...body, layer });
      break;
    }
    isFirst = false;
  }
  await tell(body, job, store, bindings);
}

/** Writes the layer's outcome, however it comes about. @returns what fails the whole job, null otherwise */
async function treat(tasks: LayerTasks, layer: number, attempts: number): Promise<Failure | null> {
  try {
    if (attempts > MOST_ATTEMPTS) throw new IsolateLostError();
    await tasks.treat(layer);
    return null;
  } catch (error) {
    const ours = error instanceof StorageError || (attempts < MOST_ATTEMPTS && failureOf(error) === null);
    if (ours) throw error;
    return tasks.leave(layer, error, attempts).then(
      () => null,
      (cause) => {
        const failure = failureOf(cause);
        if (failure) return failure;
        throw cause;
      },
    );
  }
}

/** Reports how far the job's layers are, and wakes the job when they are all there. */
async function tell(
  { compression, count, progress: [begin, end] }: LayerMessage,
  job: { readonly prefix: string },
  store: Store,
  bindings: Bindings,
): Promise<void> {
  const treated = (await store.objects.names(treatedPrefix(job))).length;
  const progress = begin + ((end - begin) * treated) / count;
  await store.compressions.progress(compression, `treat ${treated} of ${count}`, progress, Date.now());
  if (treated === count) await wake(bindings, compression);
}

async function wake({ COMPRESSIONS }: Bindings, compression: string): Promise<void> {
  const instance = await COMPRESSIONS.get(compression);
  await instance.sendEvent({ type: LAYERS_DONE, payload: null });
}

function failureKey({ prefix }: { readonly prefix: string }): string {
  return `${prefix}layers-failed.json`;
}
