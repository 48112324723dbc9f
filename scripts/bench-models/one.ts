import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import type { Latency, Report } from "../../schemas/report.ts";
import { LocalHost } from "../../src/cli/local-host.ts";
import { compareWith } from "../../src/evaluate/evaluate.ts";
import { leastTop1 } from "../../src/evaluate/fidelity.ts";
import { measureLatency } from "../../src/evaluate/latency.ts";
import { makeReference } from "../../src/evaluate/reference.ts";
import { executableFile } from "../../src/evaluate/segments/executable.ts";
import { runCompression } from "../../src/jobs/pipeline.ts";
import { inspectModel } from "../../src/onnx/inspect.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { type RealModel, realModel } from "../../test/models/registry.ts";
import { nativeRuntime } from "../native-runtime.ts";
import { sampleFile } from "./sample-file.ts";

/** What is measured of one model under one recipe, in a process of its own. */
export interface Row {
  readonly bytes: readonly [number, number];
  readonly gzip: readonly [number, number];
  readonly nonzero: readonly [number, number];
  readonly macs: readonly [number, number] | null;
  /** In onnxruntime-web, ms. */
  readonly latency: readonly [number, number] | null;
  /** In onnxruntime-node on one thread, ms. */
  readonly nodeLatency: readonly [number, number];
  /** Least R² of any output on natural inputs that calibration has not seen. */
  readonly r2: number | null;
  /** Least top-1 agreement of any output of class scores on those. */
  readonly top1: number | null;
  readonly accuracy: readonly [number, number] | null;
  readonly seconds: number;
  readonly peakMegabytes: number;
  readonly warnings: readonly string[];
}

/** Natural samples, and as many others to measure on: as many runs as take about so many multiply-accumulates. */
const SAMPLES = { macs: 30e9, least: 8, most: 128 };
const TRAIN_DIGITS = 256;
const TRAIN_FEED = 8;
const TEST_DIGITS = 10_000;
const BATCH = 500;

/** Milliseconds that the latency measurement in onnxruntime-node may take. */
const NODE_LATENCY_BUDGET = 4000;

const [name = "", recipe = "{}", calibrated = "calibrated", artifactPath] = process.argv.slice(2);
const model = realModel(name);
const bytes = await model.bytes();
const samples = await sets(model);
const host = await LocalHost.create(() => {});
try {
  host.blobs.mount("model", bytesSource(bytes));
  host.blobs.mount("samples", bytesSource(samples.calibration));
  const start = performance.now();
  const job = {
    prefix: "bench/",
    model: { key: "model", range: null, external: {} },
    modelSha256: createHash("sha256").update(bytes).digest("hex"),
    recipe: JSON.parse(recipe),
    calibration: calibrated === "calibrated" ? { key: "samples", format: "safetensors" as const } : null,
    mix: null,
    plan: {},
  };
  const outcome = await runCompression(job, host);
  const seconds = (performance.now() - start) / 1000;
  const peakMegabytes = process.resourceUsage().maxRSS / 1024;
  const artifact = await all(outcome.artifact.key);
  if (artifactPath) await writeFile(artifactPath, artifact);
  const report = JSON.parse(new TextDecoder().decode(await all(outcome.report.key))) as Report;
  const runtime = await host.runtime();
  const reference = await makeReference({
    model: await readModel(bytesSource(bytes)),
    original: executableFile(bytes, runtime),
    calibration: { bytes: samples.unseen, format: "safetensors" },
  });
  const { fidelity, accuracy } = await compareWith(reference, executableFile(artifact, runtime));
  const nodeLatency = await latencyInNode(bytes, artifact, reference.single);
  const row: Row = {
    bytes: [bytes.byteLength, artifact.byteLength],
    gzip: [gzipSync(bytes).byteLength, gzipSync(artifact).byteLength],
    nonzero: [report.parameters.nonzero.original, report.parameters.nonzero.compressed],
    macs: report.macs && [report.macs.original, report.macs.compressed],
    latency: report.latency_ms && [report.latency_ms.original, report.latency_ms.compressed],
    nodeLatency: [nodeLatency.original, nodeLatency.compressed],
    r2: fidelity.min_r2,
    top1: leastTop1(fidelity.outputs),
    accuracy: accuracy && [accuracy.original, accuracy.compressed],
    seconds,
    peakMegabytes,
    warnings: report.warnings,
  };
  process.stdout.write(JSON.stringify(row));
} finally {
  await host.dispose();
}

/** Stock ONNX Runtime outside of WASM: it has to load the artifact too. */
async function latencyInNode(original: Uint8Array, artifact: Uint8Array, feeds: Feeds): Promise<Latency> {
  const before = await nativeRuntime.load(original);
  const after = await nativeRuntime.load(artifact);
  const latency = await measureLatency(
    () => before.run(feeds),
    () => after.run(feeds),
    { now: async () => performance.now(), budget: NODE_LATENCY_BUDGET },
  );
  await before.release();
  await after.release();
  return latency;
}

async function all(key: string): Promise<Uint8Array> {
  const source = await host.blobs.open(key);
  return source.read(0, source.size);
}

/** Samples to calibrate with, and others to measure on: training and test digits where the model has labels. */
async function sets({
  labelled,
  samples: natural,
}: RealModel): Promise<{ calibration: Uint8Array; unseen: Uint8Array }> {
  if (labelled) {
    const parts = Array.from({ length: TRAIN_DIGITS / TRAIN_FEED }, (_, i) => i * TRAIN_FEED);
    const train = await Promise.all(parts.map((start) => labelled.train(start, TRAIN_FEED)));
    const starts = Array.from({ length: TEST_DIGITS / BATCH }, (_, i) => i * BATCH);
    const test = await Promise.all(starts.map((start) => labelled.test(start, BATCH)));
    return {
      calibration: sampleFile(
        train.map((set) => set.feeds),
        train.map((set) => set.labels),
      ),
      unseen: sampleFile(
        test.map((set) => set.feeds),
        test.map((set) => set.labels),
      ),
    };
  }
  const { macs } = await inspectModel(await readModel(bytesSource(bytes)));
  const affordable = Math.floor(SAMPLES.macs / Math.max(1, macs ?? 0));
  const count = Math.max(SAMPLES.least, Math.min(SAMPLES.most, affordable));
  return {
    calibration: sampleFile(await natural(count, 0), null),
    unseen: sampleFile(await natural(count, 1), null),
  };
}
