import { and, desc, eq, lt, lte } from "drizzle-orm";
import type { Database } from "./database.ts";
import { compressions, deliveries, webhookEndpoints } from "./tables.ts";

export type EndpointRow = typeof webhookEndpoints.$inferSelect;
export type DeliveryRow = typeof deliveries.$inferSelect;

/** What an attempt came to. */
export type AttemptOutcome =
  | { readonly status: "delivered"; readonly responseStatus: number }
  | {
      readonly status: "pending" | "failed";
      readonly responseStatus: number | null;
      readonly error: string;
      readonly nextAttemptAt: number | null;
    };

/** The account's addresses. */
export class EndpointRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  async insert(row: EndpointRow): Promise<void> {
    await this.db.insert(webhookEndpoints).values(row);
  }

  async get(account: string, id: string): Promise<EndpointRow | undefined> {
    return this.db.query.webhookEndpoints.findFirst({
      where: and(eq(webhookEndpoints.accountId, account), eq(webhookEndpoints.id, id)),
    });
  }

  list(account: string, limit: number, after?: string): Promise<EndpointRow[]> {
    return this.db
      .select()
      .from(webhookEndpoints)
      .where(and(eq(webhookEndpoints.accountId, account), after ? lt(webhookEndpoints.id, after) : undefined))
      .orderBy(desc(webhookEndpoints.id))
      .limit(limit);
  }

  enabled(account: string): Promise<EndpointRow[]> {
    return this.db
      .select()
      .from(webhookEndpoints)
      .where(and(eq(webhookEndpoints.accountId, account), eq(webhookEndpoints.enabled, true)));
  }

  async update(
    account: string,
    id: string,
    change: Partial<Pick<EndpointRow, "url" | "description" | "enabled">>,
  ): Promise<EndpointRow | undefined> {
    const [row] = await this.db
      .update(webhookEndpoints)
      .set(change)
      .where(and(eq(webhookEndpoints.accountId, account), eq(webhookEndpoints.id, id)))
      .returning();
    return row;
  }

  async delete(account: string, id: string): Promise<boolean> {
    const rows = await this.db
      .delete(webhookEndpoints)
      .where(and(eq(webhookEndpoints.accountId, account), eq(webhookEndpoints.id, id)))
      .returning({ id: webhookEndpoints.id });
    return rows.length > 0;
  }
}

/** The outbox. */
export class DeliveryRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** Writes the deliveries of a job's end and marks it as told; a delivery that is there already stays as it is. */
  async tell(compression: string, rows: readonly DeliveryRow[], now: number): Promise<void> {
    await this.db.batch([
      this.db.update(compressions).set({ notifiedAt: now }).where(eq(compressions.id, compression)),
      ...rows.map((row) => this.db.insert(deliveries).values(row).onConflictDoNothing()),
    ]);
  }

  async get(id: string): Promise<DeliveryRow | undefined> {
    return this.db.query.deliveries.findFirst({ where: eq(deliveries.id, id) });
  }

  /** Takes a pending delivery that is due, and leaves it due again at `until` in case this isolate dies. */
  async claim(id: string, now: number, until: number): Promise<DeliveryRow | undefined> {
    const [row] = await this.db
      .update(deliveries)
      .set({ nextAttemptAt: until })
      .where(and(eq(deliveries.id, id), eq(deliveries.status, "pending"), lte(deliveries.nextAttemptAt, now)))
      .returning();
    return row;
  }

  async record(row: DeliveryRow, outcome: AttemptOutcome, now: number): Promise<void> {
    await this.db
      .update(deliveries)
      .set({
        status: outcome.status,
        attempts: row.attempts + 1,
        responseStatus: outcome.responseStatus,
        ...(outcome.status === "delivered"
          ? { lastError: null, nextAttemptAt: null, deliveredAt: now }
          : { lastError: outcome.error, nextAttemptAt: outcome.nextAttemptAt }),
      })
      .where(eq(deliveries.id, row.id));
  }

  due(now: number, limit: number): Promise<{ id: string }[]> {
    return this.db
      .select({ id: deliveries.id })
      .from(deliveries)
      .where(and(eq(deliveries.status, "pending"), lte(deliveries.nextAttemptAt, now)))
      .limit(limit);
  }

  /** Deliveries to an endpoint, or of a job. */
  list(
    account: string,
    of: { endpoint: string } | { compression: string },
    limit: number,
    after?: string,
  ): Promise<DeliveryRow[]> {
    return this.db
      .select()
      .from(deliveries)
      .where(
        and(
          eq(deliveries.accountId, account),
          "endpoint" in of
            ? eq(deliveries.endpointId, of.endpoint)
            : eq(deliveries.compressionId, of.compression),
          after ? lt(deliveries.id, after) : undefined,
        ),
      )
      .orderBy(desc(deliveries.id))
      .limit(limit);
  }

  /** Makes a delivery due at once, with a fresh schedule. @returns undefined when there is no such delivery. */
  async replay(
    account: string,
    of: { endpoint: string; url: string; secret: string } | { compression: string },
    id: string,
    now: number,
  ): Promise<DeliveryRow | undefined> {
    const [row] = await this.db
      .update(deliveries)
      .set({
        status: "pending",
        attempts: 0,
        nextAttemptAt: now,
        deliveredAt: null,
        // The endpoint may have moved since.
        ...("endpoint" in of && { url: of.url, secret: of.secret }),
      })
      .where(
        and(
          eq(deliveries.accountId, account),
          eq(deliveries.id, id),
          "endpoint" in of
            ? eq(deliveries.endpointId, of.endpoint)
            : eq(deliveries.compressionId, of.compression),
        ),
      )
      .returning();
    return row;
  }

  async deleteOlder(before: number): Promise<void> {
    await this.db.delete(deliveries).where(lt(deliveries.createdAt, before));
  }

  /** Nothing more is sent to an endpoint that is gone. */
  async failPending(account: string, endpoint: string, reason: string): Promise<void> {
    await this.db
      .update(deliveries)
      .set({ status: "failed", nextAttemptAt: null, lastError: reason })
      .where(
        and(
          eq(deliveries.accountId, account),
          eq(deliveries.endpointId, endpoint),
          eq(deliveries.status, "pending"),
        ),
      );
  }
}
