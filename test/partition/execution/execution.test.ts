import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Mix } from "../../../schemas/mix.ts";
import { PlanVerification } from "../../../schemas/plan.ts";
import type { ShardManifest } from "../../../schemas/shards.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { verifyPlan } from "../../../src/partition/execution/verify.ts";
import type { Portion, Work } from "../../../src/partition/execution/work.ts";
import { networkForModel } from "../../../src/partition/network.ts";
import { planNetwork } from "../../../src/partition/plan.ts";
import { zooNetwork } from "../../../src/partition/zoo.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { floats, floatTensor, graphOf, modelOf, node, value } from "../../compress/tiny.ts";
import { tried } from "./check.ts";
import { type Choose, typesOf } from "./forced-plan.ts";
import { MIXES } from "./mixes.ts";
import { randomModels } from "./random-models.ts";

function fed(dims: readonly number[], seed: number): TensorValue {
  return { dataType: DataType.FLOAT, dims, data: floats(dims, seed) };
}

/** Types and shares from a seed, for any layer. */
function drawn(seed: number): Choose {
  let state = seed + 1;
  const next = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
  return (layer) => {
    const types = typesOf(layer);
    return { type: types[Math.floor(next() * types.length)]!, share: next() };
  };
}

test("random networks under random types and shares give what the whole gives, to 1e-4", async () => {
  await fc.assert(
    fc.asyncProperty(
      randomModels,
      fc.constantFrom(...Object.values(MIXES)),
      fc.nat(1e6),
      async ({ model, dims }, mix, seed) => {
        const feeds = [1, 2, 3].map((sample) => ({ x: fed(dims, sample) }));
        const found = await tried({ model, feeds, mix, choose: drawn(seed) });
        expect(found).toMatchObject({ status: "passed", undivided: [], not_run: [] });
      },
    ),
    { numRuns: 30 },
  );
});

/** Two products with a rectifier between them. */
const model = modelOf(
  graphOf({
    nodes: [
      node("MatMul", ["x", "w1"], ["a"]),
      node("Relu", ["a"], ["r"]),
      node("MatMul", ["r", "w2"], ["y"]),
    ],
    initializers: [
      floatTensor("w1", [10, 12], floats([10, 12])),
      floatTensor("w2", [12, 8], floats([12, 8], 2)),
    ],
    inputs: [value("x", [1, 10])],
    outputs: [{ name: "y" }],
  }),
);

describe("what is wrong is caught", () => {
  const mix = MIXES["two unlike devices"] as Mix;
  const run = (
    types: readonly ["I" | "II" | "III", "I" | "II" | "III"],
    spoil: Partial<Parameters<typeof tried>[0]>,
  ) => {
    let layer = 0;
    const feeds = [1, 2].map((sample) => ({ x: fed([1, 10], sample) }));
    return tried({ model, feeds, mix, choose: () => ({ type: types[layer++]!, share: 0.5 }), ...spoil });
  };

  /** The first device's portion of a layer ends one unit sooner or later; its partner's does not move. */
  const shifted =
    (layer: string, dimension: keyof Portion, by: number) =>
    (work: Work): Work => ({
      ...work,
      portions: new Map(
        [...work.portions].map(([name, portions]) => [
          name,
          portions.map((portion, device) => {
            if (name !== layer || device !== 0) return portion;
            const { from, to } = portion[dimension];
            return { ...portion, [dimension]: { from, to: to + by } };
          }),
        ]),
      ),
    });

  test("untouched, all of this passes", async () => {
    for (const types of [
      ["II", "III"],
      ["III", "II"],
      ["I", "II"],
      ["III", "III"],
    ] as const) {
      expect((await run(types, {})).status, types.join()).toBe("passed");
    }
  });

  test("an input channel that nobody multiplies", async () => {
    const found = await run(["II", "I"], { work: shifted("a", "input", -1 / 10) });
    expect(found).toMatchObject({ status: "failed", worst: { value: "a" } });
    expect(found.reason).toMatch(/is not what the whole model computes/);
  });

  test("an input channel that two devices multiply", async () => {
    expect((await run(["II", "I"], { work: shifted("a", "input", 1 / 10) })).status).toBe("failed");
  });

  test("an output channel that nobody makes", async () => {
    await expect(run(["III", "I"], { work: shifted("a", "output", -1 / 12) })).rejects.toThrow(/leave a gap/);
  });

  test("a sample that nobody takes", async () => {
    await expect(run(["I", "II"], { work: shifted("a", "samples", -1 / 2) })).rejects.toThrow(/leave a gap/);
  });

  const collectives = (manifest: ShardManifest, kind: "sum" | "gather") =>
    manifest.stages.flatMap((stage) => stage.collectives).filter((one) => one.kind === kind);

  test("a partial sum that is not added", async () => {
    const found = await run(["II", "II"], {
      manifest: (manifest) => {
        collectives(manifest, "sum")[0]!.results[1]!.pieces.pop();
      },
    });
    expect(found).toMatchObject({ status: "failed" });
    expect(found.worst?.relative_error).toBeGreaterThan(0.01);
  });

  test("a sum that does not take place", async () => {
    const found = await run(["II", "III"], {
      manifest: (manifest) => {
        for (const stage of manifest.stages)
          stage.collectives = stage.collectives.filter(({ kind }) => kind !== "sum");
      },
    });
    expect(found).toMatchObject({ status: "failed" });
    expect(found.reason).toMatch(/cannot be run/);
  });

  test("a gathering that does not take place", async () => {
    const found = await run(["III", "III"], {
      manifest: (manifest) => {
        for (const stage of manifest.stages) {
          stage.collectives = stage.collectives.filter(({ value: name }) => name !== "r");
        }
      },
    });
    expect(found.reason).toMatch(/lacks a part of "r"/);
  });

  test("a slice that lands in the wrong place", async () => {
    const found = await run(["III", "III"], {
      manifest: (manifest) => {
        const { pieces } = collectives(manifest, "gather").find(({ value: name }) => name === "r")!
          .results[0]!;
        const [own, other] = [pieces[0]!, pieces[1]!];
        pieces[1] = { ...own, box: own.box.map((range, axis) => (axis === 2 ? other.box[2]! : range)) };
      },
    });
    expect(found.status).toBe("failed");
  });

  test("a plan of another model, and one whose shares were changed", async () => {
    const runtime = await nodeRuntime();
    const request = { model, runtime, samples: [{ x: fed([1, 10], 1) }], limit: 1e9 };
    const other = planNetwork(await zooNetwork("lenet"), mix);
    await expect(verifyPlan({ ...request, plan: other })).rejects.toThrow(/not those of the model/);
    const plan = planNetwork(await networkForModel(model), mix);
    const layers = plan.layers.map((layer) => ({
      ...layer,
      shares: layer.shares.map((own) => ({ ...own, share: own.share / 2 })),
    }));
    await expect(verifyPlan({ ...request, plan: { ...plan, layers } })).rejects.toThrow(/do not add up/);
  });

  test("a model above the limit is not run, and the verification says so", async () => {
    const runtime = await nodeRuntime();
    const plan = planNetwork(await networkForModel(model), mix);
    const samples = [{ x: fed([1, 10], 1) }];
    const found = await verifyPlan({ model, plan, runtime, samples, limit: 1000 });
    expect(PlanVerification.parse(found)).toMatchObject({ status: "skipped", boundaries: 0, worst: null });
    expect(found.reason).toMatch(/at most/);
  });
});
