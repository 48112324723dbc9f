import { and, asc, eq, lt } from "drizzle-orm";
import type { Database } from "./database.ts";
import { uploadParts, uploads } from "./tables.ts";

export type UploadRow = typeof uploads.$inferSelect;
export type UploadPartRow = typeof uploadParts.$inferSelect;

export class UploadRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  async insert(row: UploadRow): Promise<void> {
    await this.db.insert(uploads).values(row);
  }

  async get(account: string, id: string): Promise<UploadRow | undefined> {
    return this.db.query.uploads.findFirst({
      where: and(eq(uploads.accountId, account), eq(uploads.id, id)),
    });
  }

  parts(id: string): Promise<UploadPartRow[]> {
    return this.db
      .select()
      .from(uploadParts)
      .where(eq(uploadParts.uploadId, id))
      .orderBy(asc(uploadParts.number));
  }

  /** A part may arrive again. */
  async arrived(part: UploadPartRow): Promise<void> {
    await this.db.insert(uploadParts).values(part).onConflictDoNothing();
  }

  async delete(id: string): Promise<void> {
    await this.db.batch([
      this.db.delete(uploadParts).where(eq(uploadParts.uploadId, id)),
      this.db.delete(uploads).where(eq(uploads.id, id)),
    ]);
  }

  expired(now: number, limit: number): Promise<UploadRow[]> {
    return this.db.select().from(uploads).where(lt(uploads.expiresAt, now)).limit(limit);
  }
}
