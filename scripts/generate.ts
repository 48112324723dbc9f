/**
 * Writes what follows from the zod schemas into schemas/generated: the OpenAPI document of the application itself and
 * JSON Schemas of the files that people keep. `--check` writes nothing and fails where something is out of date.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Mix } from "../schemas/mix.ts";
import { Plan } from "../schemas/plan.ts";
import { Recipe } from "../schemas/recipe.ts";
import { Report } from "../schemas/report.ts";
import { ShardManifest } from "../schemas/shards.ts";
import { createApp } from "../src/api/app.ts";
import { openApiDocument } from "../src/api/openapi.ts";

const FOLDER = join(import.meta.dirname, "../schemas/generated");

const documents: Record<string, unknown> = {
  "openapi.json": openApiDocument(createApp()),
  "recipe.schema.json": z.toJSONSchema(Recipe, { io: "input" }),
  "mix.schema.json": z.toJSONSchema(Mix, { io: "input" }),
  "plan.schema.json": z.toJSONSchema(Plan),
  "shards.schema.json": z.toJSONSchema(ShardManifest),
  "report.schema.json": z.toJSONSchema(Report),
};

const check = process.argv.includes("--check");
const stale: string[] = [];
if (!check) await mkdir(FOLDER, { recursive: true });
for (const [name, document] of Object.entries(documents)) {
  const file = join(FOLDER, name);
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const before = await readFile(file, "utf8").catch(() => null);
  if (text === before) continue;
  stale.push(file);
  if (!check) await writeFile(file, text);
}
if (check && stale.length > 0) {
  console.error(`Out of date; run \`npm run generate\`:\n${stale.join("\n")}`);
  process.exit(1);
}
for (const file of stale) console.log(`wrote ${file}`);
