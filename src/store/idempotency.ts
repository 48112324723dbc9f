import { and, eq, lt, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { idempotencyKeys } from "./tables.ts";

export type IdempotencyRow = typeof idempotencyKeys.$inferSelect;

/** An answer that can be given again. */
export interface StoredAnswer {
  readonly bodySha256: string;
  readonly status: number;
  readonly headers: Record<string, string>;
  /** Null: too long to be kept; it is read again from its location. */
  readonly body: string | null;
}

export class IdempotencyKeys {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /**
   * Takes the key for a request, also from a holder that has expired or whose lock has run out.
   * @returns null when taken, else the row that holds it.
   */
  async take(
    account: string,
    key: string,
    request: string,
    times: { now: number; lockedUntil: number; expiresAt: number },
  ): Promise<IdempotencyRow | null> {
    const free = sql`${idempotencyKeys.expiresAt} <= ${times.now}
      OR (${idempotencyKeys.status} IS NULL AND ${idempotencyKeys.lockedUntil} <= ${times.now})`;
    const row = {
      request,
      bodySha256: null,
      status: null,
      headers: null,
      body: null,
      lockedUntil: times.lockedUntil,
      expiresAt: times.expiresAt,
    };
    const taken = await this.db
      .insert(idempotencyKeys)
      .values({ accountId: account, key, ...row })
      .onConflictDoUpdate({
        target: [idempotencyKeys.accountId, idempotencyKeys.key],
        set: row,
        setWhere: free,
      })
      .returning({ key: idempotencyKeys.key });
    if (taken.length > 0) return null;
    const held = await this.db.query.idempotencyKeys.findFirst({ where: this.is(account, key) });
    // Released between the two looks: whoever held it has failed, and the caller may try again.
    return held ?? this.take(account, key, request, times);
  }

  async store(account: string, key: string, answer: StoredAnswer): Promise<void> {
    await this.db.update(idempotencyKeys).set(answer).where(this.is(account, key));
  }

  /** Forgets the key, so that a request that failed can be sent again, corrected. */
  async release(account: string, key: string): Promise<void> {
    await this.db.delete(idempotencyKeys).where(this.is(account, key));
  }

  async deleteExpired(now: number): Promise<void> {
    await this.db.delete(idempotencyKeys).where(lt(idempotencyKeys.expiresAt, now));
  }

  private is(account: string, key: string) {
    return and(eq(idempotencyKeys.accountId, account), eq(idempotencyKeys.key, key));
  }
}
