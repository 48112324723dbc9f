import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { CompressionResource } from "../../schemas/resources.ts";
import { type LocalServer, startServer } from "../../src/cli/server.ts";
import { Hone } from "../../src/client/hone.ts";
import { type Random, randomFrom } from "../../src/evaluate/random.ts";
import { crowd } from "./crowd.ts";
import { type FaultJob, JOBS, MODELS, samples } from "./jobs.ts";
import { Watcher } from "./watcher.ts";

/**
 * `npm run test:faults`: kills the local runtime at every boundary of every kind of step and at random moments, while its storage
 * fails and its queues lose, double and delay. Every job has to end with the bytes of an undisturbed run, and tell of its end once.
 */
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    /** Kills at random moments, beside one at each boundary. */
    random: { type: "string", default: "12" },
    /** Jobs at once on an undisturbed server. */
    crowd: { type: "string", default: "50" },
  },
});

const ENTRY = join(import.meta.dirname, "worker.ts");
const RATES = { storage: 0.004, queue: 0.08 };
/** Receivers of the account; the second one, and the jobs' own, refuse every first attempt. */
const ENDPOINTS = ["steady", "flaky"];
const OWN = "own";
const LOOK_EVERY_MS = 500;
const SETTLES_WITHIN_MS = 240_000;

const random = randomFrom(Number(values.seed));
const folders: string[] = [];
const wrong: string[] = [];
try {
  const plain = await startServer({ port: 0, state: folder() });
  const expected = await undisturbed(plain);
  wrong.push(...(await crowd(client(plain), Number(values.crowd))));
  await plain.stop();
  const kills = await disturbed(expected);
  for (const line of wrong) console.log(`wrong: ${line}`);
  console.log(`${kills} kills, ${JOBS.length} jobs, ${wrong.length} wrong`);
} finally {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
}
process.exit(wrong.length === 0 ? 0 : 1);

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "hone-faults-"));
  folders.push(path);
  return path;
}

function client({ url, key }: LocalServer): Hone {
  return new Hone({ apiKey: key, baseUrl: url });
}

/** Uploads, and starts every job. @returns the jobs' ids, in their order */
async function start(hone: Hone, webhook?: { url: string }): Promise<string[]> {
  const models = new Map<string, string>();
  for (const [name, bytes] of Object.entries(MODELS)) {
    models.set(name, (await hone.models.upload(await bytes())).id);
  }
  const calibration = (await hone.calibrations.upload(samples())).id;
  const create = async ({ model, recipe, sampled, mix }: FaultJob) => {
    const request = {
      model: models.get(model)!,
      recipe,
      ...(sampled && { calibration }),
      ...(mix && { mix }),
    };
    return (await hone.compressions.create({ ...request, ...(webhook && { webhook }) })).id;
  };
  const ids: string[] = [];
  for (const job of JOBS) ids.push(await create(job));
  return ids;
}

/** SHA-256 of each job's artifact where nothing goes wrong. */
async function undisturbed(server: LocalServer): Promise<string[]> {
  const hone = client(server);
  const ids = await start(hone);
  const jobs = await Promise.all(ids.map((id) => hone.compressions.wait(id)));
  for (const [i, { status, error }] of jobs.entries()) {
    if (status !== "succeeded") throw new Error(`undisturbed job ${i} is ${status}: ${error?.message}`);
  }
  return jobs.map(({ artifact }) => artifact!.sha256);
}

/** @returns how often the runtime was killed */
async function disturbed(expected: readonly string[]): Promise<number> {
  const state = folder();
  const watcher = new Watcher(["flaky", OWN]);
  const url = await watcher.listen();
  const seen = new Set<string>();
  let kills = 0;
  let randomKills = Number(values.random);
  const up = () =>
    startServer({
      port: 0,
      state,
      entry: ENTRY,
      vars: {
        FAULTS: JSON.stringify({ ...RATES, seed: Number(values.seed) + kills }),
        WATCHER: url,
        LAYER_PATIENCE_S: "15",
      },
    });
  try {
    let server = await up();
    for (const name of ENDPOINTS)
      await client(server).webhookEndpoints.create({ url: `${url}/hook/${name}` });
    const ids = await start(client(server), { url: `${url}/hook/${OWN}` });
    for (;;) {
      const outcome = await killedOrEnded(server, ids, watcher, seen, randomKills > 0 ? random : null);
      if (outcome === "ended") break;
      kills += 1;
      if (outcome === "at random") randomKills -= 1;
      await server.kill();
      console.log(`kill ${kills}: ${outcome}`);
      const given = await givenUp(server);
      if (given) console.log(given);
      server = await up();
    }
    await verify(server, ids, expected, watcher);
    console.log(await givenUp(server));
    await server.stop();
  } finally {
    watcher.close();
  }
  return kills;
}

/** What the runtime's log says of jobs that failed, which their callers are not told. */
async function givenUp({ log }: LocalServer): Promise<string> {
  const lines = (await readFile(log, "utf8")).split("\n");
  return lines.flatMap((line, i) => (/after its retries/.test(line) ? lines.slice(i, i + 4) : [])).join("\n");
}

/** Waits for a boundary that was not seen before, a random moment, or the end of all jobs. */
async function killedOrEnded(
  server: LocalServer,
  ids: readonly string[],
  watcher: Watcher,
  seen: Set<string>,
  random: Random | null,
): Promise<string> {
  return new Promise((resolve) => {
    let over = false;
    const decide = (outcome: string) => {
      over = true;
      clearTimeout(timer);
      watcher.hold = () => false;
      resolve(outcome);
    };
    const timer = setTimeout(() => random && decide("at random"), 500 + 12_000 * (random?.uniform() ?? 0));
    watcher.hold = ({ step, at }) => {
      // "treat 3 of 12" and "treat 4 of 12" are the same kind of step.
      const kind = `${step.replace(/\d+/g, "#")}, ${at}`;
      if (over) return true;
      if (seen.has(kind)) return false;
      seen.add(kind);
      decide(kind);
      return true;
    };
    const look = async () => {
      while (!over) {
        const jobs = await Promise.all(ids.map((id) => client(server).compressions.get(id))).catch(() => []);
        if (!over && jobs.length > 0 && jobs.every(({ finished_at }) => finished_at !== null))
          decide("ended");
        await pause(LOOK_EVERY_MS);
      }
    };
    void look();
  });
}

/** Looks at everything that has to be as it would have been without a single fault. */
async function verify(
  server: LocalServer,
  ids: readonly string[],
  expected: readonly string[],
  watcher: Watcher,
): Promise<void> {
  const hone = client(server);
  for (const [i, id] of ids.entries()) {
    const job: CompressionResource = await hone.compressions.get(id);
    const what = `job ${i} (${JSON.stringify(JOBS[i]!.recipe)})`;
    if (job.status !== "succeeded") {
      wrong.push(`${what} is ${job.status}: ${job.error?.message}`);
      continue;
    }
    const bytes = await (await hone.compressions.artifact(id)).toBytes();
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== job.artifact!.sha256) wrong.push(`${what}: the artifact is not what its digest says`);
    if (sha256 !== expected[i]) wrong.push(`${what} has other bytes than the undisturbed run`);
  }
  await verifyWebhooks(ids, watcher);
  await fetch(`${server.url}/faults/sweep`);
  const objects: string[] = await (await fetch(`${server.url}/faults/objects`)).json();
  const left = objects.filter(
    (key) => /\/jobs\//.test(key) && !/\/(artifact\.onnx|report\.json|plan\.json)$/.test(key),
  );
  for (const key of left) wrong.push(`left behind: ${key}`);
}

/** One event for each job and receiver: under one id, however often it was sent, and taken in the end. */
async function verifyWebhooks(ids: readonly string[], { received }: Watcher): Promise<void> {
  const pairs = ids.flatMap((job) => [...ENDPOINTS, OWN].map((receiver) => ({ job, receiver })));
  const of = ({ job, receiver }: { job: string; receiver: string }) =>
    received.filter((one) => one.receiver === receiver && one.event.data.id === job);
  const isTaken = (pair: { job: string; receiver: string }) => of(pair).some(({ status }) => status === 200);
  const deadline = Date.now() + SETTLES_WITHIN_MS;
  while (Date.now() < deadline && !pairs.every(isTaken)) await pause(LOOK_EVERY_MS);
  for (const pair of pairs) {
    const events = of(pair);
    const named = new Set(events.map(({ id }) => id));
    if (!isTaken(pair))
      wrong.push(`${pair.receiver} never took the end of ${pair.job} (${events.length} attempts)`);
    if (named.size > 1) wrong.push(`${pair.receiver} heard of ${pair.job} under ${named.size} ids`);
    if (events.some(({ event }) => event.type !== "compression.succeeded")) {
      wrong.push(`${pair.receiver} heard that ${pair.job} has not succeeded`);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
