import { realModels } from "../test/models/registry.ts";
import { type Case, type MeasuredRow, Rows } from "./bench-models/rows.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Every real model under a few recipes, through the whole pipeline, each run in a process of its own. Calibrated on
 * natural inputs, measured on others: fidelity, and accuracy over the 10,000 test digits where there are labels.
 * Writes its table into BENCHMARKS.md. `npm run bench:models -- lenet-5 gru-mnist` measures only those and prints;
 * `-- --recipe=OBS` only the recipes with that in their name,
 * `-- --kept` writes the table of what was last measured, `-- --times` takes the times of what is at hand again. It takes hours, so that every row is kept as soon as it is
 * measured: a run that was interrupted goes on where it stopped.
 */
const CASES: readonly Case[] = [
  { label: "default", recipe: {}, samples: "calibrated" },
  { label: "50% magnitude", recipe: { sparsity: { ratio: 0.5, solver: "magnitude" } }, samples: "data-free" },
  { label: "50% OBS", recipe: { sparsity: { ratio: 0.5, solver: "obs" } }, samples: "calibrated" },
  {
    label: "50% OBS, one threshold",
    recipe: { sparsity: { ratio: 0.5, solver: "obs", scope: "global" } },
    samples: "calibrated",
  },
  { label: "2:4 OBS", recipe: { sparsity: { pattern: "2:4", solver: "obs" } }, samples: "calibrated" },
  { label: "80% OBS", recipe: { sparsity: { ratio: 0.8, solver: "obs" } }, samples: "calibrated" },
  { label: "80% ADMM", recipe: { sparsity: { ratio: 0.8, solver: "admm" } }, samples: "calibrated" },
  { label: "5 bases, PENNI", recipe: { kernel_sharing: { bases: 5 } }, samples: "data-free" },
  { label: "5 bases", recipe: { kernel_sharing: { bases: 5 } }, samples: "calibrated" },
  {
    label: "kernel sharing, R² ≥ 0.99",
    recipe: { methods: ["kernel_sharing"] },
    samples: "calibrated",
    models: ["resnet-mnist", "salient-object", "super-resolution"],
  },
  { label: "low rank 95%, plain SVD", recipe: { low_rank: { energy: 0.95 } }, samples: "data-free" },
  { label: "low rank 95%", recipe: { low_rank: { energy: 0.95 } }, samples: "calibrated" },
  { label: "int8, to nearest", recipe: { quantization: { weights: "int8" } }, samples: "data-free" },
  { label: "int8", recipe: { quantization: { weights: "int8" } }, samples: "calibrated" },
  {
    label: "int4 folded",
    recipe: { quantization: { weights: "int4", storage: "folded" } },
    samples: "calibrated",
  },
  { label: "lossless", recipe: { methods: [] }, samples: "calibrated" },
  { label: "default, no samples", recipe: {}, samples: "data-free" },
];

const chosen = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const part =
  process.argv.find((argument) => argument.startsWith("--recipe="))?.slice("--recipe=".length) ?? "";
const how = process.argv.includes("--kept")
  ? "kept"
  : process.argv.includes("--times")
    ? "timed"
    : "measured";
const models = realModels.filter(
  ({ name, missing }) => !missing && (chosen.length === 0 || chosen.includes(name)),
);
const rows = await Rows.open();
const found = new Map(models.map(({ name }) => [name, new Map<string, MeasuredRow>()]));
for (const wanted of CASES.filter(({ label }) => label.includes(part))) {
  for (const { name } of models) {
    if (wanted.models && !wanted.models.includes(name)) continue;
    const row = await rows[how](name, wanted);
    if (row === null) continue;
    found.get(name)?.set(wanted.label, row);
    console.error([name, wanted.label, ...cells(row)].join(" | "));
  }
}
const all = [...found].flatMap(([name, own]) => [...own].map(([label, row]) => ({ name, label, row })));
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
  all.map(({ name, label, row }) => [name, label, ...cells(row)]),
);
if (chosen.length > 0 || part !== "") process.stdout.write(`${table}\n`);
else {
  await writeSection(
    "models",
    `## Models

Written by \`npm run bench:models\` (${commits()}; everything is in benchmarks/models). Size, gzip size, non-zero weights, MACs and latency (onnxruntime-web and -node, one thread, medians of
interleaved runs) are the artifact's over the upload's. Recipes that say so had no samples: magnitude, PENNI, plain SVD and rounding to nearest are the baselines. R² is the least of any output on natural inputs that calibration did not see;
accuracy is top-1 over the 10,000 MNIST test digits, upload → artifact, calibrated on 256 training digits. Times were mostly taken while other work ran; those of the default recipe again by \`-- --times --recipe=default\` with one process beside it. Seconds and peak resident
memory are those of the whole compression. Every artifact was loaded by onnxruntime-web and onnxruntime-node.

${summary()}

${table}`,
  );
}

/** Rows by the commit that they were measured at. */
function commits(): string {
  const counts = new Map<string, number>();
  for (const { row } of all) counts.set(row.commit, (counts.get(row.commit) ?? 0) + 1);
  return [...counts].map(([commit, count]) => `${count} rows at ${commit}`).join(", ");
}

/** Geometric means of the default recipe. */
function summary(): string {
  const own = all.filter(({ label }) => label === "default").map(({ row }) => row);
  const mean = (pairs: readonly (readonly [number, number] | null)[]) => {
    const known = pairs.filter((pair) => pair !== null);
    return Math.exp(known.reduce((sum, [before, after]) => sum + Math.log(before / after), 0) / known.length);
  };
  const [size, web, node] = [
    mean(own.map(({ bytes }) => bytes)),
    mean(own.map(({ latency }) => latency)),
    mean(own.map(({ nodeLatency }) => nodeLatency)),
  ].map((factor) => `${factor.toFixed(2)}×`);
  return `The default recipe with samples, geometric means over ${own.length} models: ${size} smaller, ${web} faster in onnxruntime-web, ${node} in -node.`;
}

function cells(row: MeasuredRow): string[] {
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
