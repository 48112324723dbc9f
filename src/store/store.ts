import { eq, inArray } from "drizzle-orm";
import { Accounts } from "./accounts.ts";
import type { Bindings } from "./bindings.ts";
import { CalibrationRows } from "./calibrations.ts";
import { CompressionRows } from "./compressions.ts";
import { type Database, openDatabase } from "./database.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import { ModelRows, unreferenced } from "./models.ts";
import { Objects } from "./objects.ts";
import { compressions, cursors, models } from "./tables.ts";
import { type UploadRow, UploadRows } from "./uploads.ts";
import { DeliveryRows, EndpointRows } from "./webhooks.ts";

/** Everything that outlives a request. Cheap to make: one a request, no state of its own. */
export class Store {
  readonly objects: Objects;
  readonly accounts: Accounts;
  readonly models: ModelRows;
  readonly calibrations: CalibrationRows;
  readonly compressions: CompressionRows;
  readonly endpoints: EndpointRows;
  readonly deliveries: DeliveryRows;
  readonly idempotency: IdempotencyKeys;
  readonly uploads: UploadRows;
  private readonly db: Database;

  constructor(bindings: Pick<Bindings, "DB" | "OBJECTS">) {
    this.db = openDatabase(bindings.DB);
    this.objects = new Objects(bindings.OBJECTS);
    this.accounts = new Accounts(this.db);
    this.models = new ModelRows(this.db);
    this.calibrations = new CalibrationRows(this.db);
    this.compressions = new CompressionRows(this.db);
    this.endpoints = new EndpointRows(this.db);
    this.deliveries = new DeliveryRows(this.db);
    this.idempotency = new IdempotencyKeys(this.db);
    this.uploads = new UploadRows(this.db);
  }

  /** Answers when the database does. */
  async ping(): Promise<void> {
    await this.db.select().from(cursors).limit(1);
  }

  /** Those of the content keys that nothing names any more. */
  unreferenced(keys: readonly string[]): Promise<string[]> {
    return unreferenced(this.db, keys);
  }

  /** Forgets an upload, with the parts of files that no model has taken. */
  async deleteUpload({ id, files }: UploadRow): Promise<void> {
    await this.objects.delete(await this.unreferenced(files.map(({ objectKey }) => objectKey)));
    await this.uploads.delete(id);
  }

  /** Which of these jobs exist and may still need their objects (at most 90 ids). */
  async liveJobs(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db
      .select({ id: compressions.id, status: compressions.status })
      .from(compressions)
      .where(inArray(compressions.id, [...ids]));
    return new Set(
      rows.filter(({ status }) => status !== "failed" && status !== "canceled").map(({ id }) => id),
    );
  }

  /** Which of these models exist (at most 90 ids). */
  async liveModels(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db
      .select({ id: models.id })
      .from(models)
      .where(inArray(models.id, [...ids]));
    return new Set(rows.map(({ id }) => id));
  }

  async cursor(name: string): Promise<string | undefined> {
    const row = await this.db.query.cursors.findFirst({ where: eq(cursors.name, name) });
    return row?.cursor ?? undefined;
  }

  async setCursor(name: string, cursor: string | undefined): Promise<void> {
    const value = cursor ?? null;
    await this.db
      .insert(cursors)
      .values({ name, cursor: value })
      .onConflictDoUpdate({ target: cursors.name, set: { cursor: value } });
  }
}
