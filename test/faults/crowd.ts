import type { CompressionResource } from "../../schemas/resources.ts";
import type { Hone } from "../../src/client/hone.ts";
import { stackModel } from "../jobs/stack-model.ts";

const RANK = { queued: 0, running: 1, succeeded: 2, failed: 2, canceled: 2 };
const LOOK_EVERY_MS = 300;
const WITHIN_MS = 600_000;

/**
 * Many small jobs at once, behind one with many layers: all have to finish, the small ones before the large one, and every look at the list has
 * to be true to what was seen before.
 * @returns what was wrong
 */
export async function crowd(hone: Hone, count: number): Promise<string[]> {
  const wrong: string[] = [];
  const model = (await hone.models.upload(await stackModel(2, 8))).id;
  const deep = (await hone.models.upload(await stackModel(120, 64))).id;
  const recipe = { quantization: { weights: "int8" as const } };
  const begin = Date.now();
  const large = (await hone.compressions.create({ model: deep, recipe: { methods: ["quantization"] } })).id;
  const created = await Promise.all(
    Array.from({ length: count }, () => hone.compressions.create({ model, recipe })),
  );
  const ids = [large, ...created.map(({ id }) => id)];
  const seen = new Map<string, CompressionResource>();
  while (Date.now() - begin < WITHIN_MS) {
    const listed = new Map<string, CompressionResource>();
    for await (const job of hone.compressions.list({ limit: 100 })) listed.set(job.id, job);
    for (const id of ids) {
      const job = listed.get(id);
      if (!job) wrong.push(`${id} is not in the list`);
      else wrong.push(...untrue(job, seen.get(id)));
      if (job) seen.set(id, job);
    }
    if (ids.every((id) => seen.get(id)?.finished_at)) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  const ends = ids.map((id) => Date.parse(seen.get(id)?.finished_at ?? "") - begin);
  for (const id of ids) {
    const job = seen.get(id);
    if (job?.status !== "succeeded") wrong.push(`${id} of the crowd is ${job?.status}`);
  }
  const [last, ...small] = ends as [number, ...number[]];
  small.sort((a, b) => a - b);
  const seconds = (ms: number | undefined) => `${((ms ?? Number.NaN) / 1000).toFixed(1)} s`;
  console.log(
    `${count} jobs at once: the first has ended after ${seconds(small[0])}, half after ${seconds(small[count >> 1])}, all after ${seconds(small.at(-1))}; the one of 120 layers after ${seconds(last)}`,
  );
  return wrong;
}

/** What cannot be, alone or after what was seen before. */
function untrue(job: CompressionResource, before: CompressionResource | undefined): string[] {
  const ended = RANK[job.status] === 2;
  const checks: [string, boolean][] = [
    ["has a status that goes back", !before || RANK[job.status] >= RANK[before.status]],
    ["has progress that goes back", !before || job.progress >= before.progress],
    ["runs without having started", job.status === "queued" || job.started_at !== null],
    ["has ended without an end, or the other way round", ended === (job.finished_at !== null)],
    ["has succeeded without an artifact", (job.status === "succeeded") === (job.artifact !== null)],
  ];
  return checks.filter(([, holds]) => !holds).map(([what]) => `${job.id} ${what}`);
}
