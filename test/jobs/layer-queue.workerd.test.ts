import { env } from "cloudflare:test";
import { beforeAll, expect, test, vi } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import type { LayerWork } from "../../src/jobs/job.ts";
import { giveOutLayers, LAYERS_DONE, treatBatch } from "../../src/jobs/layer-queue.ts";
import { readTreated, treatedKey, writeLayerFile } from "../../src/jobs/layer-tasks.ts";
import { cancelJob } from "../../src/jobs/lifecycle.ts";
import type { Bindings, LayerMessage } from "../../src/store/bindings.ts";
import { newId } from "../../src/store/ids.ts";
import { incomingKey, jobPrefix } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";
import { type Account, newAccount, objectsOf } from "../api/harness.ts";
import { stackModel } from "./stack-model.ts";

const LAYERS = 5;
const store = new Store(env);

let model: Uint8Array;
beforeAll(async () => {
  model = await stackModel(LAYERS);
});

interface Stage {
  readonly account: Account;
  readonly id: string;
  readonly work: LayerWork;
  /** The Worker's bindings, with a queue that keeps what is sent, and a Workflow that only hears of its events. */
  readonly bindings: Bindings;
  readonly sent: LayerMessage[];
  readonly woken: string[];
}

/** A running job whose layers are to be treated; layer `poisoned` fails at every attempt. */
async function stage(recipe: Recipe, { poisoned = -1, atOnce = 100 } = {}): Promise<Stage> {
  const account = await newAccount();
  const id = newId("cmp", Date.now());
  const prefix = jobPrefix(account.id, id);
  const now = Date.now();
  await store.compressions.insert({
    ...{ id, accountId: account.id, modelId: "mdl", calibrationId: null, recipe, mix: null, planOptions: {} },
    ...{ metadata: {}, status: "queued", step: null, progress: 0, errorCode: null, errorMessage: null },
    ...{ artifactKey: null, artifactBytes: null, artifactSha256: null, reportKey: null, planKey: null },
    ...{ webhookUrl: null, webhookSecret: null, notifiedAt: null, freedAt: null, createdAt: now },
    ...{ startedAt: null, finishedAt: null, expiresAt: null },
  });
  await store.compressions.start(id, now);
  const stored = { key: incomingKey(account.id, "model"), range: null, external: {} };
  await store.objects.putBytes(stored.key, model);
  // Moments that cannot be read are the error that the test makes.
  const broken = `${prefix}moments/broken`;
  await store.objects.putBytes(broken, "no moments");
  const moments = { keys: poisoned < 0 ? {} : { [`w${poisoned}`]: broken }, unseen: {} };
  const facts = { moments, offers: [], globalRatios: {}, trials: null };
  await writeLayerFile(store.objects, { prefix }, { recipe, model: stored, facts });
  const sent: LayerMessage[] = [];
  const woken: string[] = [];
  const bindings = {
    ...env,
    LAYERS_AT_ONCE: String(atOnce),
    LAYERS: {
      send: async (body: LayerMessage) => void sent.push(body),
      sendBatch: async (batch: { body: LayerMessage }[]) => void sent.push(...batch.map(({ body }) => body)),
    },
    COMPRESSIONS: {
      get: async () => ({
        sendEvent: async ({ type }: { type: string }) => void woken.push(type),
        terminate: async () => {},
      }),
    },
  } as unknown as Bindings;
  const work = { prefix, model: stored, bytes: new Array(LAYERS).fill(1), progress: [0.2, 0.4] as const };
  return { account, id, work, bindings, sent, woken };
}

function messageOf(body: LayerMessage, attempts = 1) {
  return { id: "", timestamp: new Date(), body, attempts, ack: vi.fn(), retry: vi.fn() };
}

/** Carries out whatever is in the queue, one message a batch, the last one sent first. */
async function drain({ bindings, sent }: Stage, turn = 0): Promise<number> {
  let messages = 0;
  for (; sent.length > 0; messages++) await treatBatch([messageOf(sent.pop()!)], store, bindings, turn);
  return messages;
}

const MINUTE = 60_000;

const INT8: Recipe = { quantization: { weights: "int8" } };

test("every layer is treated once, a few in the queue at a time, and the last one wakes the job", async () => {
  const job = await stage(INT8, { atOnce: 2 });
  expect(await giveOutLayers(job.id, job.work, null, store, job.bindings)).toMatchObject({ missing: LAYERS });
  expect(job.sent.map(({ layer }) => layer)).toEqual([0, 1]);
  expect(await drain(job)).toBe(LAYERS);
  expect(job.woken).toEqual([LAYERS_DONE]);
  expect(await giveOutLayers(job.id, job.work, LAYERS, store, job.bindings)).toMatchObject({
    missing: 0,
    failure: null,
  });
  expect((await store.compressions.ofJob(job.id))!).toMatchObject({
    step: `treat ${LAYERS} of ${LAYERS}`,
    progress: 0.4,
  });
});

test("messages that come twice write the same, and only one of the twins goes on", async () => {
  const job = await stage(INT8, { atOnce: 1 });
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const body = job.sent.pop()!;
  await treatBatch([messageOf(body), messageOf(body)], store, job.bindings, 0);
  expect(job.sent.map(({ layer }) => layer)).toEqual([1]);
  // One that comes again may have been lost before it went on.
  await treatBatch([messageOf(body, 2)], store, job.bindings, 0);
  expect(job.sent.map(({ layer }) => layer)).toEqual([1, 2]);
});

test("a message treats on until its turn is over, and one that was lost on the way goes on where it was", async () => {
  const job = await stage(INT8, { atOnce: 2 });
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  expect(await drain(job, MINUTE)).toBe(2);
  expect(job.woken).toContain(LAYERS_DONE);
  const again = await stage(INT8, { atOnce: 1 });
  await giveOutLayers(again.id, again.work, null, store, again.bindings);
  const body = again.sent.pop()!;
  const lost = new Store({
    ...env,
    OBJECTS: onPut(env.OBJECTS, treatedKey(again.work, 2), () =>
      Promise.reject(new Error("the isolate is gone")),
    ),
  });
  await treatBatch(
    [messageOf(body)],
    lost,
    { ...again.bindings, LAYERS: { send: async () => {} } as never },
    MINUTE,
  );
  expect(await store.objects.exists(treatedKey(again.work, 1))).toBe(true);
  await treatBatch([messageOf(body, 2)], store, again.bindings, MINUTE);
  expect(again.woken).toEqual([LAYERS_DONE]);
  expect(again.sent).toEqual([]);
});

test("a layer that fails late in a turn is sent for again with all its attempts", async () => {
  const job = await stage(INT8, { poisoned: 1, atOnce: 1 });
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const message = messageOf(job.sent.pop()!);
  await treatBatch([message], store, job.bindings, MINUTE);
  expect(message.ack).toHaveBeenCalledOnce();
  expect(job.sent.map(({ layer }) => layer)).toEqual([1]);
  const last = messageOf(job.sent.pop()!, 5);
  await treatBatch([last], store, job.bindings, MINUTE);
  expect((await readTreated(store.objects, job.work, 1)).value.choices.reason).toMatch(/5 times/);
  expect(job.woken).toEqual([LAYERS_DONE]);
});

test("lost messages are sent for again, but not while layers still come", async () => {
  const job = await stage(INT8);
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const lost = job.sent.splice(1);
  await drain(job);
  expect(await giveOutLayers(job.id, job.work, LAYERS, store, job.bindings)).toMatchObject({ missing: 4 });
  expect(job.sent).toEqual([]);
  await giveOutLayers(job.id, job.work, 4, store, job.bindings);
  expect(job.sent).toEqual(lost);
});

test("a layer that cannot be treated is tried 5 times, ever later, and then stays as it was with the reason", async () => {
  const job = await stage(INT8, { poisoned: 3 });
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const [body] = job.sent.splice(3, 1);
  await drain(job);
  const delays: unknown[] = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    const message = messageOf(body!, attempt);
    await treatBatch([message], store, job.bindings);
    delays.push(...message.retry.mock.calls.map(([options]) => options.delaySeconds));
    expect(message.ack).toHaveBeenCalledTimes(attempt === 5 ? 1 : 0);
  }
  expect(delays).toEqual([1, 2, 4, 8]);
  const { choices } = (await readTreated(store.objects, job.work, 3)).value;
  expect(choices.candidates).toHaveLength(1);
  expect(choices.reason).toMatch(/could not be treated \(\w+, 5 times\) and stays as it was/);
  expect((await readTreated(store.objects, job.work, 2)).value.choices.candidates).toHaveLength(2);
  expect(job.woken).toEqual([LAYERS_DONE]);
});

test("a layer whose isolate is lost every time is not tried a sixth time", async () => {
  const job = await stage(INT8);
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  await treatBatch([messageOf(job.sent[0]!, 6)], store, job.bindings);
  const { choices } = (await readTreated(store.objects, job.work, 0)).value;
  expect(choices.reason).toContain("IsolateLostError");
});

test("under a strict recipe it fails the job, which is told so at once", async () => {
  const job = await stage({ ...INT8, strict: true }, { poisoned: 3 });
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  await treatBatch([messageOf(job.sent[3]!, 5)], store, job.bindings);
  expect(job.woken).toEqual([LAYERS_DONE]);
  const { failure } = await giveOutLayers(job.id, job.work, LAYERS, store, job.bindings);
  expect(failure).toMatchObject({ code: "layer_failed", message: expect.stringContaining('"w3"') });
});

test("what the bucket refuses is tried again however often, and no layer stays as it was for it", async () => {
  const job = await stage(INT8);
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const refusing = new Store({ ...env, OBJECTS: refusingReads(env.OBJECTS) });
  const message = messageOf(job.sent[0]!, 5);
  await treatBatch([message], refusing, job.bindings);
  expect(message.retry).toHaveBeenCalledOnce();
  expect(await store.objects.exists(treatedKey(job.work, 0))).toBe(false);
});

test("messages of a canceled job are dropped; what was written while it was canceled is freed", async () => {
  const job = await stage(INT8);
  await giveOutLayers(job.id, job.work, null, store, job.bindings);
  const canceling = new Store({
    ...env,
    OBJECTS: onPut(env.OBJECTS, treatedKey(job.work, 0), () =>
      cancelJob(store, job.bindings, job.id, Date.now()),
    ),
  });
  const messages = job.sent.slice(0, 2).map((body) => messageOf(body));
  await treatBatch(messages, canceling, job.bindings);
  for (const { ack } of messages) expect(ack).toHaveBeenCalledOnce();
  expect((await objectsOf(job.account)).filter((key) => key.includes(job.id))).toEqual([]);
});

/** A bucket whose reads of ranges fail. */
function refusingReads(bucket: R2Bucket): R2Bucket {
  return replaced(bucket, "get", (key: string, options?: R2GetOptions) =>
    options?.range ? Promise.reject(new Error("R2 is busy")) : bucket.get(key, options),
  );
}

/** A bucket that does something before it stores the key. */
function onPut(bucket: R2Bucket, at: string, before: () => Promise<unknown>): R2Bucket {
  return replaced(bucket, "put", async (key: string, value: string) => {
    if (key === at) await before();
    return bucket.put(key, value);
  });
}

function replaced(bucket: R2Bucket, method: "get" | "put", by: unknown): R2Bucket {
  return new Proxy(bucket, {
    get(target, name) {
      if (name === method) return by;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
