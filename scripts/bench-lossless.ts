import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { walkGraphs } from "../src/onnx/edit.ts";
import { readModel } from "../src/onnx/read.ts";
import { bytesSource } from "../src/onnx/source.ts";
import { realModels } from "../test/models/registry.ts";
import { ROOT } from "../test/models/shared.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Hone's lossless passes against npm onnxsim 0.7.3 with its default options: each on every real model, each run in a
 * Node process of its own, from file to file. Writes the table into BENCHMARKS.md; exits with 1 where Hone does not
 * leave no more nodes and no more bytes in less time and a fifth of the memory above an idle Node process.
 */
const RUNS = 3;

/** For both tools: V8 then prefers a small heap to fast code. */
const FLAGS = ["--optimize-for-size"];

interface Figures {
  readonly nodes: number;
  readonly bytes: number;
  /** Median. */
  readonly seconds: number;
  /** Median of the processes' largest resident sets, MB. */
  readonly peak: number;
}

const folder = await mkdtemp(join(tmpdir(), "hone-bench-"));
try {
  await run();
} finally {
  await rm(folder, { recursive: true });
}

async function run(): Promise<void> {
  const hone = join(folder, "hone.mjs");
  await build({
    entryPoints: [join(ROOT, "scripts/bench-lossless/hone.ts")],
    outfile: hone,
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
  });
  const onnxsim = join(ROOT, "scripts/bench-lossless/onnxsim.mjs");
  const idle = await idlePeak();
  const rows: (string | number)[][] = [];
  const losses: string[] = [];
  for (const model of realModels) {
    if (model.missing) {
      console.error(`${model.name}: skipped, ${model.missing}`);
      continue;
    }
    const bytes = await model.bytes();
    const file = join(folder, "model.onnx");
    await writeFile(file, bytes);
    const ours = await measure(hone, file);
    const theirs = await measure(onnxsim, file, join(ROOT, "node_modules/onnxsim/index.mjs"));
    const share = (ours.peak - idle) / (theirs.peak - idle);
    rows.push([
      model.name,
      `${await nodesOf(bytes)} / ${theirs.nodes} / **${ours.nodes}**`,
      `${bytes.length} / ${theirs.bytes} / **${ours.bytes}**`,
      `${theirs.seconds.toFixed(2)} / **${ours.seconds.toFixed(2)}**`,
      `${theirs.peak.toFixed(0)} / **${ours.peak.toFixed(0)}**`,
      `${(theirs.peak - idle).toFixed(0)} / **${(ours.peak - idle).toFixed(0)}**`,
      `${(100 * share).toFixed(0)}%`,
    ]);
    console.error(rows.at(-1)!.join(" | "));
    if (ours.nodes > theirs.nodes) losses.push(`${model.name}: more nodes`);
    if (ours.bytes > Math.min(theirs.bytes, bytes.length)) losses.push(`${model.name}: more bytes`);
    if (share > 0.2) losses.push(`${model.name}: more than a fifth of the memory`);
    if (ours.seconds > theirs.seconds) losses.push(`${model.name}: slower`);
  }
  const table = markdownTable(
    [
      "model",
      "nodes: file / onnxsim / **Hone**",
      "bytes: file / onnxsim / **Hone**",
      "seconds: onnxsim / **Hone**",
      "peak MB: onnxsim / **Hone**",
      "of that above idle Node: onnxsim / **Hone**",
      "share",
    ],
    rows,
  );
  await writeSection("lossless", text(table, idle));
  for (const loss of losses) console.error(`LOSS ${loss}`);
  if (losses.length > 0) process.exitCode = 1;
}

function text(table: string, idle: number): string {
  return `## Lossless passes against onnxsim 0.7.3

\`npm run bench:lossless\` on ${cpus()[0]?.model ?? "an unknown processor"}, Node ${process.version}.
Each run is a process of its own (\`node ${FLAGS.join(" ")}\` for both), from file to file, medians of ${RUNS}; Hone is bundled by esbuild, as wrangler does for the Worker.
Nodes are those of the main graph and all subgraphs. Peak memory is the largest resident set; an idle Node process has ${idle.toFixed(0)} MB,
most of it the Node binary itself, so the last two columns give what a tool adds to it.
With Node's default flags V8 lets Hone's heap grow further: voice-activity then takes 25% of what onnxsim adds, every other model stays below a fifth (one earlier run).
Against the absolute peak a fifth is out of reach for the small models, because idle Node alone is more than a fifth of onnxsim's 110 MB.

${table}`;
}

/** The largest resident set of a Node process that does nothing, MB. */
async function idlePeak(): Promise<number> {
  const script = join(ROOT, "scripts/bench-lossless/idle.mjs");
  const peaks: number[] = [];
  for (let i = 0; i < RUNS; i++) peaks.push((await child(script)).peakKiB / 1024);
  return median(peaks);
}

async function measure(script: string, file: string, ...more: string[]): Promise<Figures> {
  const output = join(folder, "simplified.onnx");
  const runs: { milliseconds: number; peakKiB: number }[] = [];
  for (let i = 0; i < RUNS; i++) runs.push(await child(script, file, output, ...more));
  const bytes = new Uint8Array(await readFile(output));
  return {
    nodes: await nodesOf(bytes),
    bytes: bytes.length,
    seconds: median(runs.map((each) => each.milliseconds)) / 1000,
    peak: median(runs.map((each) => each.peakKiB)) / 1024,
  };
}

async function child(script: string, ...args: string[]): Promise<{ milliseconds: number; peakKiB: number }> {
  const options = { maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await promisify(execFile)(process.execPath, [...FLAGS, script, ...args], options);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
}

async function nodesOf(bytes: Uint8Array): Promise<number> {
  const model = await readModel(bytesSource(bytes));
  return Array.from(walkGraphs(model.graph)).reduce((sum, { graph }) => sum + graph.nodes.length, 0);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
