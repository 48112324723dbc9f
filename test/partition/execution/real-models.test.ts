import { describe, expect, test } from "vitest";
import { ShardManifest } from "../../../schemas/shards.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { inOrder } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { execute } from "../../../src/partition/execution/execute.ts";
import { exportShards } from "../../../src/partition/execution/prepare.ts";
import { networkForModel } from "../../../src/partition/network.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { realModel } from "../../models/registry.ts";
import { tried } from "./check.ts";
import { type Choose, forcedPlan, typesOf } from "./forced-plan.ts";
import { MIXES } from "./mixes.ts";

/** Each layer another of its types, and shares that no count of channels divides by. */
function inTurn(): Choose {
  let at = 0;
  return (layer) => {
    const types = typesOf(layer);
    return { type: types[at++ % types.length]!, share: 0.37 };
  };
}

const CASES: Readonly<Record<string, { samples: number; undivided: RegExp }>> = {
  "lenet-5": { samples: 4, undivided: /^$/ },
  "resnet-mnist": { samples: 1, undivided: /^$/ },
  "vit-mnist": { samples: 2, undivided: /^$/ },
  "gcn-mnist": { samples: 1, undivided: /^$/ },
  "gru-mnist": { samples: 2, undivided: /GRU/ },
  "voice-activity": { samples: 1, undivided: /LSTM|^$/ },
  "face-detector": { samples: 1, undivided: /^$/ },
};

describe("every value between shards is the whole model's, to 1e-4", () => {
  for (const [name, { samples, undivided }] of Object.entries(CASES)) {
    const real = realModel(name);
    test.skipIf(real.missing !== null)(
      `${name}${real.missing ? ` (skipped: ${real.missing})` : ""}`,
      async () => {
        const model = inOrder(await readModel(bytesSource(await real.bytes())));
        const feeds = await real.samples(samples);
        for (const [mixed, mix] of Object.entries(MIXES)) {
          const found = await tried({ model, feeds, mix, choose: inTurn() });
          expect(found, mixed).toMatchObject({ status: "passed", samples, not_run: [] });
          expect(found.devices).toBe(mix.reduce((sum, { count }) => sum + count, 0));
          expect(found.undivided.join()).toMatch(undivided);
          expect(found.boundaries).toBeGreaterThan(1);
        }
      },
    );
  }
});

test("written shards can be read back and run by their manifest alone", async () => {
  const real = realModel("face-detector");
  const model = inOrder(await readModel(bytesSource(await real.bytes())));
  const runtime = await nodeRuntime();
  const plan = forcedPlan(await networkForModel(model, 2), MIXES["three devices"]!, inTurn());
  const samples = await real.samples(2);
  const shards = await exportShards({ model, plan, runtime, samples, limit: 1e9 });
  const manifest = ShardManifest.parse(JSON.parse(JSON.stringify(shards.manifest)));
  const files = new Map<string, Awaited<ReturnType<typeof readModel>>>();
  let weights = 0;
  for (const { file } of manifest.stages.flatMap((stage) => stage.shards)) {
    const bytes = await modelBytes(shards.model(file));
    weights += bytes.length;
    files.set(file, await readModel(bytesSource(bytes)));
  }
  const reread = { manifest, model: (file: string) => files.get(file)! };
  const answers = await execute(reread, runtime, samples, () => {});
  const whole = await runtime.load(await modelBytes(model));
  for (const [sample, feed] of samples.entries()) {
    const expected = await whole.run(feed);
    expect(Object.keys(answers[sample]!).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, { data }] of Object.entries(expected)) {
      const numbers = Array.from(data as Float32Array);
      const own = answers[sample]![name]!.data as Float32Array;
      const difference = Math.hypot(...numbers.map((value, i) => value - own[i]!));
      expect(difference / Math.hypot(...numbers)).toBeLessThan(1e-4);
    }
  }
  // Types II and III divide the weights; nothing of the whole model is copied to everybody.
  expect(weights).toBeLessThan(2 * (await real.bytes()).length);
  await whole.release();
});
