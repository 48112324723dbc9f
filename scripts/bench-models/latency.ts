import { readFile } from "node:fs/promises";
import { measureLatency } from "../../src/evaluate/latency.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds, Runtime } from "../../src/runtime/runtime.ts";
import { type RealModel, realModel } from "../../test/models/registry.ts";
import { nativeRuntime } from "../native-runtime.ts";
import type { Row } from "./one.ts";

/** Only the times of a row, of an artifact that is at hand, in a process of its own: for a machine that does nothing else. */
export type Times = Pick<Row, "latency" | "nodeLatency">;

/** Milliseconds for each runtime, and the most timed blocks. */
const BUDGET = 6000;
const RUNS = 25;
const DIGITS = 8;

const [name = "", artifactPath = ""] = process.argv.slice(2);
const model = realModel(name);
const pair = [await model.bytes(), new Uint8Array(await readFile(artifactPath))] as const;
const feeds = await feedsOf(model);
const times: Times = {
  latency: await timed(await nodeRuntime(), pair, feeds),
  nodeLatency: await timed(nativeRuntime, pair, feeds),
};
process.stdout.write(JSON.stringify(times));

async function timed(
  runtime: Runtime,
  [original, artifact]: readonly [Uint8Array, Uint8Array],
  inputs: Feeds,
): Promise<readonly [number, number]> {
  const before = await runtime.load(original);
  const after = await runtime.load(artifact);
  const found = await measureLatency(
    () => before.run(inputs),
    () => after.run(inputs),
    { now: async () => performance.now(), budget: BUDGET, runs: RUNS },
  );
  await before.release();
  await after.release();
  return [found.original, found.compressed];
}

/** One natural input; a batch of digits where there are labels. */
async function feedsOf({ labelled, samples }: RealModel): Promise<Feeds> {
  return labelled ? (await labelled.test(0, DIGITS)).feeds : (await samples(1, 1))[0]!;
}
