import { and, asc, desc, eq, gt, inArray, isNull, lt, or, sql } from "drizzle-orm";
import type { CompressionEvent, CompressionStatus } from "../../schemas/resources.ts";
import type { Database } from "./database.ts";
import { compressionEvents, compressions } from "./tables.ts";

export type CompressionRow = typeof compressions.$inferSelect;
export type EventRow = typeof compressionEvents.$inferSelect;

const ACTIVE = ["queued", "running"] as const;

/** What a job ends with. */
export type JobEnd =
  | {
      readonly status: "succeeded";
      readonly artifact: { readonly key: string; readonly bytes: number; readonly sha256: string };
      readonly reportKey: string;
      readonly planKey: string | null;
    }
  | { readonly status: "failed"; readonly error: { readonly code: string; readonly message: string } }
  | { readonly status: "canceled" };

export class CompressionRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  async insert(row: CompressionRow): Promise<void> {
    await this.db.batch([
      this.db.insert(compressions).values(row),
      this.eventOfChange(row.id, "queued", row.createdAt),
    ]);
  }

  async get(account: string, id: string): Promise<CompressionRow | undefined> {
    return this.db.query.compressions.findFirst({
      where: and(eq(compressions.accountId, account), eq(compressions.id, id)),
    });
  }

  /** For the job itself, which knows nothing but its id. */
  async ofJob(id: string): Promise<CompressionRow | undefined> {
    return this.db.query.compressions.findFirst({ where: eq(compressions.id, id) });
  }

  list(
    account: string,
    limit: number,
    options: { after?: string; status?: CompressionStatus; model?: string },
  ): Promise<CompressionRow[]> {
    return this.db
      .select()
      .from(compressions)
      .where(
        and(
          eq(compressions.accountId, account),
          options.after ? lt(compressions.id, options.after) : undefined,
          options.status ? eq(compressions.status, options.status) : undefined,
          options.model ? eq(compressions.modelId, options.model) : undefined,
        ),
      )
      .orderBy(desc(compressions.id))
      .limit(limit);
  }

  /** queued → running; running again is no change. @returns false when the job has ended meanwhile. */
  async start(id: string, now: number): Promise<boolean> {
    await this.db.batch([
      this.db
        .update(compressions)
        .set({ status: "running", startedAt: now })
        .where(and(eq(compressions.id, id), eq(compressions.status, "queued"))),
      this.eventOfChange(id, "started", now),
    ]);
    return (await this.ofJob(id))?.status === "running";
  }

  /** Never goes back, as a job that starts over reports anew. @returns false when the job has ended meanwhile. */
  async progress(id: string, step: string, progress: number, now: number): Promise<boolean> {
    const ahead = or(
      lt(compressions.progress, progress),
      and(eq(compressions.progress, progress), sql`${compressions.step} IS NOT ${step}`),
    );
    const [rows] = await this.db.batch([
      this.db
        .update(compressions)
        .set({ step, progress })
        .where(and(eq(compressions.id, id), eq(compressions.status, "running"), ahead))
        .returning({ id: compressions.id }),
      this.eventOfChange(id, "progress", now),
    ]);
    return rows.length > 0 || (await this.ofJob(id))?.status === "running";
  }

  /** Ends an active job, once. @returns null when it had ended already. */
  async end(id: string, end: JobEnd, now: number, lifetime: number): Promise<CompressionRow | null> {
    const [rows] = await this.db.batch([
      this.db
        .update(compressions)
        .set({
          status: end.status,
          finishedAt: now,
          expiresAt: now + lifetime,
          ...(end.status === "succeeded" && {
            progress: 1,
            step: null,
            artifactKey: end.artifact.key,
            artifactBytes: end.artifact.bytes,
            artifactSha256: end.artifact.sha256,
            reportKey: end.reportKey,
            planKey: end.planKey,
          }),
          ...(end.status === "failed" && { errorCode: end.error.code, errorMessage: end.error.message }),
        })
        .where(and(eq(compressions.id, id), inArray(compressions.status, ACTIVE)))
        .returning(),
      this.eventOfChange(id, end.status, now),
    ]);
    return rows[0] ?? null;
  }

  /** Records the event if the statement before it in the same batch changed the job. */
  private eventOfChange(id: string, type: CompressionEvent["type"], now: number) {
    return this.db.insert(compressionEvents).select(sql`
      SELECT NULL, id, ${type}, status, step, progress, ${now} FROM compressions
      WHERE id = ${id} AND changes() > 0`);
  }

  events(id: string, after: number, limit: number): Promise<EventRow[]> {
    return this.db
      .select()
      .from(compressionEvents)
      .where(and(eq(compressionEvents.compressionId, id), gt(compressionEvents.seq, after)))
      .orderBy(asc(compressionEvents.seq))
      .limit(limit);
  }

  async delete(id: string): Promise<void> {
    await this.db.batch([
      this.db.delete(compressionEvents).where(eq(compressionEvents.compressionId, id)),
      this.db.delete(compressions).where(eq(compressions.id, id)),
    ]);
  }

  expired(now: number, limit: number): Promise<CompressionRow[]> {
    return this.db.select().from(compressions).where(lt(compressions.expiresAt, now)).limit(limit);
  }

  /** Jobs that have been running for a while. */
  running(before: number, limit: number): Promise<{ id: string }[]> {
    return this.db
      .select({ id: compressions.id })
      .from(compressions)
      .where(and(eq(compressions.status, "running"), lt(compressions.startedAt, before)))
      .orderBy(asc(compressions.startedAt))
      .limit(limit);
  }

  /** Jobs that were to run when the server went down. */
  active(before: number, limit: number): Promise<{ id: string }[]> {
    return this.db
      .select({ id: compressions.id })
      .from(compressions)
      .where(and(inArray(compressions.status, ACTIVE), lt(compressions.createdAt, before)))
      .orderBy(asc(compressions.createdAt))
      .limit(limit);
  }

  /** Ended jobs under whose prefix something may have been written since. */
  unfreed(before: number, limit: number): Promise<CompressionRow[]> {
    return this.db
      .select()
      .from(compressions)
      .where(and(lt(compressions.finishedAt, before), isNull(compressions.freedAt)))
      .limit(limit);
  }

  async freed(id: string, now: number): Promise<void> {
    await this.db.update(compressions).set({ freedAt: now }).where(eq(compressions.id, id));
  }

  /** Ended jobs whose end may not have been told. */
  untold(before: number, limit: number): Promise<CompressionRow[]> {
    return this.db
      .select()
      .from(compressions)
      .where(and(lt(compressions.finishedAt, before), isNull(compressions.notifiedAt)))
      .limit(limit);
  }

  /** Jobs whose Workflow may never have been created. */
  stalled(before: number, limit: number): Promise<CompressionRow[]> {
    return this.db
      .select()
      .from(compressions)
      .where(and(eq(compressions.status, "queued"), lt(compressions.createdAt, before)))
      .limit(limit);
  }
}
