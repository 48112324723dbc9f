import { and, desc, eq, inArray, lt } from "drizzle-orm";
import type { Database } from "./database.ts";
import { unreferenced } from "./models.ts";
import { calibrations, compressions } from "./tables.ts";

export type CalibrationRow = typeof calibrations.$inferSelect;

export class CalibrationRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  async insert(row: CalibrationRow): Promise<void> {
    await this.db.insert(calibrations).values(row);
  }

  async get(account: string, id: string): Promise<CalibrationRow | undefined> {
    return this.db.query.calibrations.findFirst({
      where: and(eq(calibrations.accountId, account), eq(calibrations.id, id)),
    });
  }

  list(account: string, limit: number, after?: string): Promise<CalibrationRow[]> {
    return this.db
      .select()
      .from(calibrations)
      .where(and(eq(calibrations.accountId, account), after ? lt(calibrations.id, after) : undefined))
      .orderBy(desc(calibrations.id))
      .limit(limit);
  }

  /** Ids of jobs that still need the samples. */
  async activeJobs(id: string): Promise<string[]> {
    const rows = await this.db
      .select({ id: compressions.id })
      .from(compressions)
      .where(and(eq(compressions.calibrationId, id), inArray(compressions.status, ["queued", "running"])))
      .limit(1);
    return rows.map((row) => row.id);
  }

  /** @returns the keys of objects that no row names any more. */
  async delete(account: string, row: CalibrationRow): Promise<string[]> {
    await this.db
      .delete(calibrations)
      .where(and(eq(calibrations.accountId, account), eq(calibrations.id, row.id)));
    return unreferenced(this.db, [row.objectKey]);
  }
}
