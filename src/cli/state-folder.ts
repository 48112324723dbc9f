import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The checkout. */
export const ROOT = join(import.meta.dirname, "../..");
export const MIGRATIONS = join(ROOT, "migrations");

/** What a state folder of the local server remembers of its preparation, in `hone.json`. */
export interface Prepared {
  readonly key: string;
  readonly account: string;
  /** Hash of the migrations that were applied. */
  readonly migrations: string;
}

/** The development key of a state folder; null where the folder lacks it or a migration. */
export async function preparedKey(state: string): Promise<string | null> {
  const prepared = await readPrepared(state);
  return prepared?.migrations === hashOfMigrations() ? prepared.key : null;
}

export async function readPrepared(state: string): Promise<Prepared | null> {
  const value: unknown = await readFile(file(state), "utf8")
    .then((text) => JSON.parse(text))
    .catch(() => null);
  return isPrepared(value) ? value : null;
}

/** Only the user may read the file: it holds the key itself. */
export async function writePrepared(state: string, prepared: Prepared): Promise<void> {
  await writeFile(file(state), `${JSON.stringify(prepared, null, 2)}\n`, { mode: 0o600 });
}

export function migrationNames(): string[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith(".sql"))
    .toSorted();
}

export function hashOfMigrations(): string {
  const hash = createHash("sha256");
  for (const name of migrationNames()) hash.update(name).update(readFileSync(join(MIGRATIONS, name)));
  return hash.digest("hex");
}

function isPrepared(value: unknown): value is Prepared {
  if (typeof value !== "object" || value === null) return false;
  return ["key", "account", "migrations"].every((name) => typeof Reflect.get(value, name) === "string");
}

function file(state: string): string {
  return join(state, "hone.json");
}
