import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { realModels } from "../test/models/registry.ts";
import type { Row } from "./bench-models/one.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Every real model under a few recipes, through the whole pipeline, each run in a process of its own. Calibrated on
 * natural inputs, measured on others: fidelity, and accuracy over the 10,000 test digits where there are labels.
 * Writes its table into BENCHMARKS.md. `npm run bench:models -- lenet-5 gru-mnist` measures only those and prints. It takes
 * hours: what was measured of this very engine is kept in .bench, and a run that was interrupted goes on where it stopped.
 */
const RECIPES: readonly (readonly [string, object, "calibrated" | "data-free"])[] = [
  ["default", {}, "calibrated"],
  ["50% magnitude", { sparsity: { ratio: 0.5, solver: "magnitude" } }, "data-free"],
  ["50% OBS", { sparsity: { ratio: 0.5, solver: "obs" } }, "calibrated"],
  ["2:4 OBS", { sparsity: { pattern: "2:4", solver: "obs" } }, "calibrated"],
  ["80% OBS", { sparsity: { ratio: 0.8, solver: "obs" } }, "calibrated"],
  ["80% ADMM", { sparsity: { ratio: 0.8, solver: "admm" } }, "calibrated"],
  ["5 bases, PENNI", { kernel_sharing: { bases: 5 } }, "data-free"],
  ["5 bases", { kernel_sharing: { bases: 5 } }, "calibrated"],
  ["low rank 95%, plain SVD", { low_rank: { energy: 0.95 } }, "data-free"],
  ["low rank 95%", { low_rank: { energy: 0.95 } }, "calibrated"],
  ["int8, to nearest", { quantization: { weights: "int8" } }, "data-free"],
  ["int8", { quantization: { weights: "int8" } }, "calibrated"],
  ["int4 folded", { quantization: { weights: "int4", storage: "folded" } }, "calibrated"],
  ["lossless", { methods: [] }, "calibrated"],
  ["default, no samples", {}, "data-free"],
];
const HOUR = 3_600_000;

const ROOT = join(import.meta.dirname, "..");
const chosen = process.argv.slice(2);
const run = promisify(execFile);
const kept = join(ROOT, ".bench/models", await engineDigest());
await mkdir(kept, { recursive: true });
const models = realModels.filter(
  ({ name, missing }) => !missing && (chosen.length === 0 || chosen.includes(name)),
);
const rowsOf = new Map(models.map(({ name }) => [name, [] as string[][]]));
for (const [label, recipe, samples] of RECIPES) {
  for (const { name } of models) {
    const row = [name, label, ...cells(await measured(name, JSON.stringify(recipe), samples))];
    rowsOf.get(name)!.push(row);
    console.error(row.join(" | "));
  }
}
const rows = [...rowsOf.values()].flat();
const table = markdownTable(
  [
    "model",
    "recipe",
    "bytes",
    "size",
    "gzip size",
    "non-zero",
    "MACs",
    "latency",
    "in -node",
    "R²",
    "top-1",
    "accuracy",
    "s",
    "peak MB",
  ],
  rows,
);
if (chosen.length > 0) process.stdout.write(`${table}\n`);
else {
  await writeSection(
    "models",
    `## Models

Written by \`npm run bench:models\`. Size, gzip size, non-zero weights, MACs and latency (onnxruntime-web and -node, one thread, medians of
interleaved runs) are the artifact's over the upload's. Recipes that say so had no samples: magnitude, PENNI, plain SVD and rounding to nearest are the baselines. R² is the least of any output on natural inputs that calibration did not see;
accuracy is top-1 over the 10,000 MNIST test digits, upload → artifact, calibrated on 256 training digits. Seconds and peak resident
memory are those of the whole compression. Every artifact was loaded by onnxruntime-web and onnxruntime-node.

${table}`,
  );
}

async function measured(model: string, recipe: string, samples: string): Promise<Row> {
  const name = createHash("sha256")
    .update(JSON.stringify([model, recipe, samples]))
    .digest("hex");
  const file = join(kept, `${name}.json`);
  const before = await readFile(file, "utf8").catch(() => null);
  if (before !== null) return JSON.parse(before) as Row;
  const one = join(ROOT, "scripts/bench-models/one.ts");
  const options = { timeout: HOUR, maxBuffer: 2 ** 26 };
  const { stdout } = await run(process.execPath, [one, model, recipe, samples], options);
  await writeFile(file, stdout);
  return JSON.parse(stdout) as Row;
}

/** Of every file that a figure depends on. */
async function engineDigest(): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of ["src", "schemas", "scripts/bench-models", "test/models"]) {
    const files = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
    const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
    for (const path of paths.sort()) {
      hash.update(path.slice(ROOT.length)).update(await readFile(path));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

function cells(row: Row): string[] {
  const ratio = (pair: readonly [number, number] | null) =>
    pair ? `${(pair[1] / pair[0]).toFixed(3)}×` : "–";
  return [
    `${row.bytes[0]} → ${row.bytes[1]}`,
    ratio(row.bytes),
    ratio(row.gzip),
    ratio(row.nonzero),
    ratio(row.macs),
    ratio(row.latency),
    ratio(row.nodeLatency),
    row.r2?.toFixed(4) ?? "–",
    row.top1?.toFixed(4) ?? "–",
    row.accuracy ? row.accuracy.map((share) => `${(100 * share).toFixed(2)}%`).join(" → ") : "–",
    row.seconds.toFixed(1),
    row.peakMegabytes.toFixed(0),
  ];
}
