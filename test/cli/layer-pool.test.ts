import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import { treatInThreads } from "../../src/cli/layer-pool.ts";
import { LocalBlobs } from "../../src/cli/local-blobs.ts";
import { readTreated, writeLayerFile } from "../../src/jobs/layer-tasks.ts";
import { treatInTurn } from "../../src/jobs/layers-in-turn.ts";
import { putBytes } from "../../src/jobs/put-bytes.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { stackModel } from "../jobs/stack-model.ts";

const LAYERS = 5;
const MODEL = { key: "model", range: null, external: {} };
const INT8: Recipe = { quantization: { weights: "int8" } };

/** Layers that wait to be treated, in a folder of their own. */
async function withLayers(
  recipe: Recipe,
  use: (folder: string, blobs: LocalBlobs) => Promise<void>,
  poisoned?: number,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hone-pool-"));
  const blobs = new LocalBlobs(folder);
  try {
    await putBytes(blobs, MODEL.key, await stackModel(LAYERS, 64));
    await putBytes(blobs, "broken", new TextEncoder().encode("no moments"));
    const moments = { keys: poisoned === undefined ? {} : { [`w${poisoned}`]: "broken" }, unseen: {} };
    const facts = { moments, offers: [], globalRatios: {}, trials: null };
    await writeLayerFile(blobs, { prefix: "" }, { recipe, model: MODEL, facts });
    await use(folder, blobs);
  } finally {
    await blobs.close();
    await rm(folder, { recursive: true });
  }
}

async function resultOf(blobs: LocalBlobs, layer: number): Promise<Uint8Array> {
  const source = await blobs.open(`layers/${layer}/1`);
  return (await source.read(0, source.size)).slice();
}

test("threads give the bytes of one layer after the other, each layer once", async () => {
  const expected: Uint8Array[] = [];
  await withLayers(INT8, async (_folder, blobs) => {
    const bytes = new Array(LAYERS).fill(1);
    const host = {
      blobs,
      kernels: () => nodeKernels(),
      wasmBytes: () => 0,
      now: async () => performance.now(),
    };
    await treatInTurn({ prefix: "", model: MODEL, bytes, progress: [0, 1] }, host, () => {});
    for (let layer = 0; layer < LAYERS; layer++) expected.push(await resultOf(blobs, layer));
  });
  await withLayers(INT8, async (folder, blobs) => {
    const done: number[] = [];
    await treatInThreads({ folder, inputs: [], prefix: "" }, LAYERS, (layer) => void done.push(layer));
    expect(done.sort()).toEqual([0, 1, 2, 3, 4]);
    for (const [layer, bytes] of expected.entries()) expect(await resultOf(blobs, layer)).toEqual(bytes);
  });
});

test("a layer that cannot be treated stays as it was, with the reason", async () => {
  const use = async (folder: string, blobs: LocalBlobs) => {
    await treatInThreads({ folder, inputs: [], prefix: "" }, LAYERS, () => {});
    const { choices } = (await readTreated(blobs, { prefix: "" }, 2)).value;
    expect(choices.candidates).toHaveLength(1);
    expect(choices.reason).toMatch(/^it could not be treated \(\w+\) and stays as it was$/);
  };
  await withLayers(INT8, use, 2);
});

test("under a strict recipe it fails the job", async () => {
  const use = async (folder: string) => {
    const work = treatInThreads({ folder, inputs: [], prefix: "" }, LAYERS, () => {});
    await expect(work).rejects.toMatchObject({
      code: "layer_failed",
      message: expect.stringContaining('"w2"'),
    });
  };
  await withLayers({ ...INT8, strict: true }, use, 2);
});
