import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { InferenceSession } from "onnxruntime-node";
import type { Recipe } from "../schemas/recipe.ts";
import { localEngine } from "../src/cli/local-engine.ts";
import { remoteEngine } from "../src/cli/remote-engine.ts";
import { startServer } from "../src/cli/server.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { realModels } from "../test/models/registry.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Every real model through HTTP and through the command line's engine under several recipes: the artifacts have to be
 * the same bytes, the plans equal, and stock onnxruntime-web and onnxruntime-node have to load them. Writes its table
 * into BENCHMARKS.md and exits with 1 where anything differs. Names of models as arguments measure only those.
 */
const RECIPES: Readonly<Record<string, Recipe>> = {
  default: {},
  "50% sparse": { sparsity: { ratio: 0.5 } },
  "2:4": { sparsity: { pattern: "2:4" } },
  "kernel sharing": { kernel_sharing: { energy: 0.95 } },
};
const MIX = [
  { accelerator: "tpu-v3", count: 2 },
  { accelerator: "tpu-v2", count: 2 },
];

const chosen = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), "hone-hosts-"));
const server = await startServer({ port: 0, state: join(folder, "state") });
const engines = { cli: localEngine, http: remoteEngine(server.url, server.key) };
const runtime = await nodeRuntime();
const rows: string[][] = [];
let failed = 0;
try {
  for (const model of realModels) {
    if (model.missing || (chosen.length > 0 && !chosen.includes(model.name))) continue;
    for (const label of Object.keys(RECIPES)) {
      const row = await compare(model.name, await model.bytes(), label);
      rows.push(row);
      console.error(row.join(" | "));
    }
  }
} finally {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
const table = markdownTable(
  ["model", "recipe", "bytes", "HTTP = CLI", "plans equal", "loads in -web and -node"],
  rows,
);
if (chosen.length > 0) process.stdout.write(`${table}\n`);
else {
  await writeSection(
    "hosts",
    `## HTTP and command line

Written by \`npm run bench:hosts\`: each model without samples, through the API on its local runtime and through the command line's engine.

${table}`,
  );
}
process.exitCode = failed === 0 ? 0 : 1;

async function compare(name: string, bytes: Uint8Array, label: string): Promise<string[]> {
  const path = join(folder, `${name}.onnx`);
  await writeFile(path, bytes);
  const request = { model: path, recipe: RECIPES[label]!, calibration: null, mix: MIX, plan: {} };
  try {
    const cli = await engines.cli.compress({ ...request, output: join(folder, "cli.onnx") }, () => {});
    const http = await engines.http.compress({ ...request, output: join(folder, "http.onnx") }, () => {});
    const artifact = await readFile(http.artifact.path);
    await (await InferenceSession.create(artifact)).release();
    await (await runtime.load(artifact)).release();
    const same = cli.artifact.sha256 === http.artifact.sha256;
    const plans = isDeepStrictEqual(cli.plan, http.plan);
    if (!same || !plans) failed += 1;
    return [name, label, `${bytes.byteLength} → ${artifact.byteLength}`, yes(same), yes(plans), "yes"];
  } catch (error) {
    failed += 1;
    return [
      name,
      label,
      String(bytes.byteLength),
      "–",
      "–",
      error instanceof Error ? error.message : String(error),
    ];
  }
}

function yes(value: boolean): string {
  return value ? "yes" : "**no**";
}
