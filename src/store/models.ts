import { and, desc, eq, inArray, lt } from "drizzle-orm";
import type { ModelResource } from "../../schemas/resources.ts";
import type { Database } from "./database.ts";
import { calibrations, compressions, type ModelHead, modelFiles, models, uploads } from "./tables.ts";

export type ModelRow = typeof models.$inferSelect;

export interface ModelFile {
  readonly path: string;
  readonly objectKey: string;
  /** Where in the object it begins. */
  readonly offset: number;
  readonly bytes: number;
}

export class ModelRows {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** @param upload the upload that becomes the model and is completed with it; null where none does */
  async insert(row: ModelRow, files: readonly ModelFile[], upload: string | null): Promise<void> {
    const insertFiles = files.map((file) => this.db.insert(modelFiles).values({ modelId: row.id, ...file }));
    const complete =
      upload === null ? [] : [this.db.update(uploads).set({ modelId: row.id }).where(eq(uploads.id, upload))];
    await this.db.batch([this.db.insert(models).values(row), ...insertFiles, ...complete]);
  }

  async get(account: string, id: string): Promise<ModelRow | undefined> {
    return this.db.query.models.findFirst({
      where: and(eq(models.accountId, account), eq(models.id, id)),
    });
  }

  files(id: string): Promise<ModelFile[]> {
    return this.db
      .select({
        path: modelFiles.path,
        objectKey: modelFiles.objectKey,
        offset: modelFiles.offset,
        bytes: modelFiles.bytes,
      })
      .from(modelFiles)
      .where(eq(modelFiles.modelId, id));
  }

  list(account: string, limit: number, after?: string): Promise<ModelRow[]> {
    return this.db
      .select()
      .from(models)
      .where(and(eq(models.accountId, account), after ? lt(models.id, after) : undefined))
      .orderBy(desc(models.id))
      .limit(limit);
  }

  /** Ids of jobs that still need the model. */
  async activeJobs(id: string): Promise<string[]> {
    const rows = await this.db
      .select({ id: compressions.id })
      .from(compressions)
      .where(and(eq(compressions.modelId, id), inArray(compressions.status, ["queued", "running"])))
      .limit(1);
    return rows.map((row) => row.id);
  }

  /** @returns the keys of objects that no row names any more. */
  async delete(account: string, id: string): Promise<string[]> {
    const files = await this.files(id);
    await this.db.batch([
      this.db.delete(modelFiles).where(eq(modelFiles.modelId, id)),
      this.db.delete(models).where(and(eq(models.accountId, account), eq(models.id, id))),
    ]);
    return unreferenced(
      this.db,
      files.map((file) => file.objectKey),
    );
  }
}

/** Those of the content keys that no model and no calibration names. */
export async function unreferenced(db: Database, keys: readonly string[]): Promise<string[]> {
  const named = new Set<string>();
  // D1 takes 100 bound parameters a query.
  for (let at = 0; at < keys.length; at += 90) {
    const some = keys.slice(at, at + 90);
    const [files, samples] = await Promise.all([
      db.select({ key: modelFiles.objectKey }).from(modelFiles).where(inArray(modelFiles.objectKey, some)),
      db
        .select({ key: calibrations.objectKey })
        .from(calibrations)
        .where(inArray(calibrations.objectKey, some)),
    ]);
    for (const { key } of [...files, ...samples]) named.add(key);
  }
  return [...new Set(keys)].filter((key) => !named.has(key));
}

/** Splits a resource into what stands in the row and what lies beside it. */
export function splitModel(
  summary: Omit<ModelResource, "id" | "object" | "name" | "sha256" | "created_at">,
): {
  head: ModelHead;
  layers: ModelResource["layers"];
} {
  const { layers, ...head } = summary;
  return { head, layers };
}
