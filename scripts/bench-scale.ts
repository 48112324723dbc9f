import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, openAsBlob } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Recipe } from "../schemas/recipe.ts";
import type { Report } from "../schemas/report.ts";
import { startServer } from "../src/cli/server.ts";
import { Hone } from "../src/client/hone.ts";
import { chunksOf } from "../src/onnx/source.ts";
import { encodeArchive } from "../src/onnx/write-archive.ts";
import { descendants, Resident } from "./bench-scale/resident.ts";
import { transformer } from "./bench-scale/transformer.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Language models of growing size with seeded weights, through the API on its local runtime and through the command line: how
 * long they take and how much memory. Both have to make the same artifact. Sizes in GB as arguments measure only those and write nothing.
 */
const SIZES = [0.25, 0.5, 1, 2, 2.2];
const RECIPE: Recipe = {
  sparsity: { ratio: 0.5, solver: "magnitude", scope: "layer" },
  quantization: { weights: "int8" },
};
const MB = 1e6;
const HOUR_MS = 3_600_000;

interface Measured {
  readonly seconds: number;
  /** Bytes. */
  readonly resident: number;
  readonly sha256: string;
  readonly report: Report;
}

const sizes = process.argv.slice(2).map(Number);
const folder = await mkdtemp(join(tmpdir(), "hone-scale-"));
const rows: string[][] = [];
try {
  for (const size of sizes.length > 0 ? sizes : SIZES) {
    const path = join(folder, `${size}.tar`);
    const file = encodeArchive(transformer(size * 1e9));
    await pipeline(chunksOf(file), createWriteStream(path));
    const http = await throughHttp(path);
    const cli = await throughCli(path);
    await rm(path);
    const { report } = http;
    console.error(slowest(report));
    const rate = (seconds: number) => (file.size / MB / seconds).toFixed(1);
    const row = [
      (file.size / MB).toFixed(0),
      String(report.layers.length),
      (report.bytes.compressed / MB).toFixed(0),
      http.phases.map((seconds) => seconds.toFixed(1)).join(" + "),
      rate(http.seconds),
      String(Math.round(accounted(report) / MB)),
      String(Math.round(http.resident / MB)),
      cli.seconds.toFixed(1),
      rate(cli.seconds),
      String(Math.round(cli.resident / MB)),
      http.sha256 === cli.sha256 ? "yes" : "NO",
    ];
    rows.push(row);
    console.error(row.join(" | "));
    if (http.sha256 !== cli.sha256) process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
const table = markdownTable(
  [
    "MB",
    "layers",
    "artifact MB",
    "HTTP: upload + job + download, s",
    "MB/s",
    "accounted MB",
    "workerd grows by MB",
    "CLI s",
    "MB/s",
    "resident MB",
    "same bytes",
  ],
  rows,
);
if (sizes.length > 0) process.stdout.write(`${table}\n`);
else {
  await writeSection(
    "scale",
    `## Models of any size

Written by \`npm run bench:scale\`: transformers of seeded weights with external data, compressed without samples to half zeros and int8.
Accounted is the most that any step held of WASM memories and live buffers together; workerd's growth is of its resident memory from an idle server to the most
that was seen, that of the command line all it had.

${table}`,
  );
}

async function throughHttp(path: string): Promise<Measured & { readonly phases: readonly number[] }> {
  const server = await startServer({ port: 0, state: join(folder, "state") });
  const watched = new Resident(() => descendants(process.pid, "workerd"));
  try {
    const hone = new Hone({ baseUrl: server.url, apiKey: server.key });
    await hone.models.list({ limit: 1 });
    const idle = await watched.now();
    const times = [performance.now()];
    const model = await hone.models.upload(await openAsBlob(path));
    times.push(performance.now());
    const uploaded = watched.most;
    const { id } = await hone.compressions.create({ model: model.id, recipe: RECIPE });
    const job = await hone.compressions.wait(id, { timeout: HOUR_MS });
    if (job.status !== "succeeded") {
      console.error((await readFile(server.log, "utf8")).slice(-4000));
      throw new Error(`${job.error?.code}: ${job.error?.message}`);
    }
    times.push(performance.now());
    const hash = createHash("sha256");
    for await (const chunk of (await hone.compressions.artifact(id)).stream()) hash.update(chunk);
    times.push(performance.now());
    console.error(
      `  workerd: ${Math.round(idle / MB)} MB idle, at most ${Math.round(uploaded / MB)} while uploading, ${Math.round(watched.most / MB)} in all`,
    );
    const phases = times.slice(1).map((time, i) => (time - times[i]!) / 1000);
    return {
      phases,
      seconds: (times.at(-1)! - times[0]!) / 1000,
      resident: watched.stop() - idle,
      sha256: hash.digest("hex"),
      report: await hone.compressions.report(id),
    };
  } finally {
    watched.stop();
    await server.stop();
    await rm(join(folder, "state"), { recursive: true, force: true });
  }
}

async function throughCli(path: string): Promise<Measured> {
  const output = join(folder, "out.onnx");
  const report = join(folder, "report.json");
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "../src/cli/hone.mjs"),
      ...["compress", path, "--recipe", JSON.stringify(RECIPE), "--output", output, "--json"],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const watched = new Resident(async () => [child.pid!]);
  const [code] = await Promise.all([
    new Promise<number | null>((resolve) => child.once("exit", resolve)),
    pipeline(child.stdout, createWriteStream(report)),
  ]);
  if (code !== 0) throw new Error(`the command line ended with ${code}`);
  const seconds = (performance.now() - start) / 1000;
  const made = JSON.parse(await readFile(report, "utf8")) as {
    artifact: { sha256: string };
    report: Report;
  };
  return { seconds, resident: watched.stop(), sha256: made.artifact.sha256, report: made.report };
}

/** The steps that took longest, with what they held. */
function slowest({ steps }: Report): string {
  const some = [...steps].sort((a, b) => b.seconds - a.seconds).slice(0, 12);
  return some
    .map(({ name, seconds, peak_bytes, bytes_read }) => {
      const [held, read] = [peak_bytes, bytes_read].map((bytes) => Math.round(bytes / MB));
      return `  ${seconds.toFixed(1)} s, ${held} MB held, ${read} MB read: ${name}`;
    })
    .join("\n");
}

/** The most that any step held, bytes. */
function accounted({ steps }: Report): number {
  return steps.reduce((most, { peak_bytes }) => Math.max(most, peak_bytes), 0);
}
