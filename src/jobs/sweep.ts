import type { Bindings } from "../store/bindings.ts";
import { ACCOUNTS, type ObjectOwner, ownerOf } from "../store/object-keys.ts";
import type { Store } from "../store/store.ts";
import { deleteJob, endJob, ensureInstance, freeJob } from "./lifecycle.ts";
import { notify } from "./notify.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

/** Time that a request or a step may need to finish what it began before the sweep steps in. */
const GRACE_MS = 2 * MINUTE;
/** The longest that a call of a queue's consumer lasts, which may write for a job that has been canceled. */
const LATE_MS = 15 * MINUTE;
const DELIVERY_LIFETIME_MS = 30 * DAY;
const ORPHAN_AGE_MS = DAY;
/** Rows of each kind a run; the next run takes the next ones. */
const BATCH = 50;
/** Ids in one look: D1 takes 100 bound parameters a query. */
const IDS = 90;

type SweepBindings = Pick<Bindings, "COMPRESSIONS" | "DELIVERIES">;

/** Once a minute: finishes what a dead isolate has left undone, and deletes what has expired. */
export async function sweep(store: Store, bindings: SweepBindings, now: number): Promise<void> {
  await enqueueDue(store, bindings, now);
  await mendJobs(store, bindings, now);
  await freeEnded(store, now);
  await deleteExpired(store, now);
  await deleteOrphans(store, now);
}

async function enqueueDue(store: Store, { DELIVERIES }: SweepBindings, now: number): Promise<void> {
  const due = await store.deliveries.due(now, BATCH);
  if (due.length > 0) await DELIVERIES.sendBatch(due.map(({ id }) => ({ body: { delivery: id } })));
}

async function mendJobs(store: Store, bindings: SweepBindings, now: number): Promise<void> {
  for (const { id } of await store.compressions.stalled(now - GRACE_MS, BATCH)) {
    await ensureInstance(bindings.COMPRESSIONS, id);
  }
  for (const { id } of await store.compressions.running(now - GRACE_MS, BATCH)) {
    if (await isDead(bindings.COMPRESSIONS, id)) {
      const message = "The job broke off on our side. Start it again, or write to us with its id.";
      await endJob(store, id, { status: "failed", error: { code: "internal_error", message } }, now);
    }
  }
  for (const row of await store.compressions.untold(now - GRACE_MS, BATCH)) {
    await notify(store, bindings.DELIVERIES, row, now);
  }
}

/** Once more for each ended job: what was killed at its end freed nothing, and what was late has written since. */
async function freeEnded(store: Store, now: number): Promise<void> {
  for (const row of await store.compressions.unfreed(now - LATE_MS, BATCH)) {
    await freeJob(store, row);
    await store.compressions.freed(row.id, now);
  }
}

/** Whether the instance will never bring its job to an end. One that cannot be asked may well. */
async function isDead(workflow: Bindings["COMPRESSIONS"], id: string): Promise<boolean> {
  try {
    const { status } = await (await workflow.get(id)).status();
    return status === "errored" || status === "terminated" || status === "complete";
  } catch (error) {
    return error instanceof Error && error.message.includes("instance.not_found");
  }
}

async function deleteExpired(store: Store, now: number): Promise<void> {
  for (const row of await store.compressions.expired(now, BATCH)) await deleteJob(store, row);
  for (const upload of await store.uploads.expired(now, BATCH)) await store.deleteUpload(upload);
  await store.idempotency.deleteExpired(now);
  await store.deliveries.deleteOlder(now - DELIVERY_LIFETIME_MS);
}

/** Looks at one page of the bucket a run, and deletes what nothing names a day after it was written. */
async function deleteOrphans(store: Store, now: number): Promise<void> {
  const page = await store.objects.list(ACCOUNTS, await store.cursor("orphans"));
  const old = page.objects.filter(({ uploaded }) => uploaded < now - ORPHAN_AGE_MS).map(({ key }) => key);
  for (let at = 0; at < old.length; at += IDS) {
    await store.objects.deleteObjects(await orphansAmong(store, old.slice(at, at + IDS)));
  }
  await store.setCursor("orphans", page.cursor);
}

async function orphansAmong(store: Store, keys: readonly string[]): Promise<string[]> {
  const owned = keys.map((key) => ({ key, owner: ownerOf(key) }));
  const jobs = owned.flatMap(({ owner }) => (owner.kind === "job" ? [owner.compression] : []));
  const models = owned.flatMap(({ owner }) => (owner.kind === "model" ? [owner.model] : []));
  const files = owned.flatMap(({ owner }) => (owner.kind === "content" ? [owner.file] : []));
  const [liveJobs, liveModels, dead] = await Promise.all([
    store.liveJobs([...new Set(jobs)]),
    store.liveModels([...new Set(models)]),
    store.unreferenced([...new Set(files)]),
  ]);
  const deadFiles = new Set(dead);
  const isOrphan = (owner: ObjectOwner): boolean => {
    if (owner.kind === "job") return !liveJobs.has(owner.compression);
    if (owner.kind === "model") return !liveModels.has(owner.model);
    if (owner.kind === "content") return deadFiles.has(owner.file);
    return owner.kind === "incoming";
  };
  return owned.filter(({ owner }) => isOrphan(owner)).map(({ key }) => key);
}
