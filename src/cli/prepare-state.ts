import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getPlatformProxy, unstable_splitSqlQuery } from "wrangler";
import { newId } from "../store/ids.ts";
import { insertKeySql, newKey } from "../store/keys.ts";
import {
  hashOfMigrations,
  MIGRATIONS,
  migrationNames,
  type Prepared,
  ROOT,
  readPrepared,
  writePrepared,
} from "./state-folder.ts";

/**
 * Applies the migrations to the local database of a state folder and stores the hash of its development key, as
 * `wrangler d1 migrations apply --local` and `wrangler d1 execute --local` do, which start a runtime for each
 * statement. Runs as a process of its own (`prepare-state.ts <folder>`), because wrangler changes the process that loads it.
 */
async function prepare(state: string): Promise<void> {
  const before = await readPrepared(state);
  const prepared: Prepared = {
    key: before?.key ?? newKey(),
    account: before?.account ?? newId("acc", Date.now()),
    migrations: hashOfMigrations(),
  };
  const { env, dispose } = await getPlatformProxy<{ DB: D1Database }>({
    configPath: join(ROOT, "wrangler.toml"),
    persist: { path: join(state, "v3") },
  });
  try {
    await applyMigrations(env.DB);
    const key = insertKeySql(prepared.account, "development", prepared.key, Date.now());
    await env.DB.batch(statements(env.DB, key));
  } finally {
    await dispose();
  }
  await writePrepared(state, prepared);
}

/** In the table that wrangler keeps, so that its own commands see the same. */
async function applyMigrations(db: D1Database): Promise<void> {
  await db
    .prepare(
      "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
    )
    .run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  for (const name of migrationNames()) {
    if (applied.has(name)) continue;
    const sql = readFileSync(join(MIGRATIONS, name), "utf8");
    const note = db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    await db.batch([...statements(db, sql), note]);
  }
}

function statements(db: D1Database, sql: string): D1PreparedStatement[] {
  return unstable_splitSqlQuery(sql).map((statement) => db.prepare(statement));
}

const [state] = process.argv.slice(2);
if (!state) throw new Error("usage: prepare-state.ts <folder>");
await prepare(state);
