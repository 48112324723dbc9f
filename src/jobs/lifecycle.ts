import type { Bindings } from "../store/bindings.ts";
import type { CompressionRow, JobEnd } from "../store/compressions.ts";
import { jobPrefix } from "../store/object-keys.ts";
import type { Store } from "../store/store.ts";
import { notify } from "./notify.ts";

const DAY = 86_400_000;

/** How long a job, its artifact, report and plan are kept after its end. */
export const JOB_LIFETIME_MS = 30 * DAY;

const MAX_RESUMED = 1000;

type JobBindings = Pick<Bindings, "COMPRESSIONS" | "DELIVERIES">;

/** Records a job and starts its Workflow, whose instance has the job's id. */
export async function startJob(store: Store, bindings: JobBindings, row: CompressionRow): Promise<void> {
  await store.compressions.insert(row);
  try {
    await ensureInstance(bindings.COMPRESSIONS, row.id);
  } catch (error) {
    // The caller is told that it failed, so it must not run later all the same.
    await store.compressions.delete(row.id);
    throw error;
  }
}

/** Creates the instance unless it exists. */
export async function ensureInstance(workflow: Bindings["COMPRESSIONS"], id: string): Promise<void> {
  try {
    await workflow.create({ id, params: { compression: id } });
  } catch (error) {
    const exists = await workflow.get(id).catch(() => null);
    if (!exists) throw error;
  }
}

/**
 * Goes on with what a restart of the whole server has interrupted: jobs, and the webhooks of those that had just ended. Cloudflare
 * resumes Workflows by itself; its local runtime does not, and starts them over. They find what they have done in their journals.
 */
export async function resumeJobs(store: Store, bindings: JobBindings, now: number): Promise<void> {
  const { COMPRESSIONS, DELIVERIES } = bindings;
  for (const { id } of await store.compressions.active(now, MAX_RESUMED)) {
    const instance = await COMPRESSIONS.get(id).catch(() => null);
    if (instance) await instance.restart();
    else await ensureInstance(COMPRESSIONS, id);
  }
  for (const row of await store.compressions.untold(now, MAX_RESUMED)) {
    await notify(store, DELIVERIES, row, now);
  }
}

/** Records the end and frees what only the running job needed. Safe to repeat. */
export async function endJob(store: Store, id: string, end: JobEnd, now: number): Promise<void> {
  await store.compressions.end(id, end, now, JOB_LIFETIME_MS);
  const row = await store.compressions.ofJob(id);
  if (row) await freeJob(store, row);
}

/** Deletes what an ended job has written but its results. */
export async function freeJob(store: Store, row: CompressionRow): Promise<void> {
  const keep = [row.artifactKey, row.reportKey, row.planKey].filter((key) => key !== null);
  await store.objects.deletePrefix(jobPrefix(row.accountId, row.id), new Set(keep));
}

/** Stops a job wherever it is. @returns false when it had ended already. */
export async function cancelJob(
  store: Store,
  bindings: JobBindings,
  id: string,
  now: number,
): Promise<boolean> {
  const row = await store.compressions.end(id, { status: "canceled" }, now, JOB_LIFETIME_MS);
  if (!row) return false;
  await terminate(bindings.COMPRESSIONS, id);
  await endJob(store, id, { status: "canceled" }, now);
  await notify(store, bindings.DELIVERIES, row, now);
  return true;
}

/** Deletes an ended job with everything it wrote. */
export async function deleteJob(store: Store, row: CompressionRow): Promise<void> {
  await store.compressions.delete(row.id);
  await store.objects.deletePrefix(jobPrefix(row.accountId, row.id));
}

/** An instance that has ended or never began cannot be terminated, and need not be. */
async function terminate(workflow: Bindings["COMPRESSIONS"], id: string): Promise<void> {
  const instance = await workflow.get(id).catch(() => null);
  await instance?.terminate().catch(() => undefined);
}
