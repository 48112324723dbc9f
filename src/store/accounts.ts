import { and, eq, isNull } from "drizzle-orm";
import type { Database } from "./database.ts";
import { hashKey, isKey } from "./keys.ts";
import { apiKeys } from "./tables.ts";

export class Accounts {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** The account of a key, or null when the key is unknown or revoked. */
  async ofKey(key: string): Promise<string | null> {
    if (!isKey(key)) return null;
    const row = await this.db.query.apiKeys.findFirst({
      columns: { accountId: true },
      where: and(eq(apiKeys.hash, hashKey(key)), isNull(apiKeys.revokedAt)),
    });
    return row?.accountId ?? null;
  }
}
