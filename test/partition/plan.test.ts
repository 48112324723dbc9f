import fc from "fast-check";
import { expect, test } from "vitest";
import type { Mix } from "../../schemas/mix.ts";
import { Plan } from "../../schemas/plan.ts";
import { MixError } from "../../src/partition/errors.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { zooNetwork } from "../../src/partition/zoo.ts";
import { chain, graphs } from "./random-networks.ts";

const figure = (low: number, high: number) => fc.double({ min: low, max: high, noNaN: true });

const mixes: fc.Arbitrary<Mix> = fc.array(
  fc.record({
    accelerator: fc.oneof(
      fc.constantFrom("tpu-v3", "tpu-v2", "h100", "server-cpu", "phone-npu"),
      fc.record({
        name: fc.constantFrom("one", "other"),
        flops: fc.record({ fp32: figure(1e9, 1e15) }),
        memory_bytes: figure(1e6, 1e12),
        memory_bandwidth: figure(1e9, 1e13),
        watts: figure(1, 1000),
        price_per_hour: figure(0.1, 10),
        link: fc.record({ bandwidth: figure(1e6, 1e12), latency: figure(0, 1e-3) }),
      }),
    ),
    count: fc.constantFrom(1, 2, 3, 4, 7),
  }),
  { minLength: 1, maxLength: 3 },
);

test("a plan is valid, is never worse than a baseline that fits, and its layers make up the step", () => {
  fc.assert(
    fc.property(
      graphs(7),
      mixes,
      fc.constantFrom("training" as const, "inference" as const),
      (network, mix, mode) => {
        const plan = planNetwork(network, mix, { mode });
        expect(Plan.parse(plan)).toEqual(plan);
        for (const [name, baseline] of Object.entries(plan.baselines)) {
          if (baseline.fits || !plan.fits) {
            if (baseline.fits) expect(plan.fits, name).toBe(true);
            if (baseline.fits) expect(plan.step_time_s, name).toBeLessThanOrEqual(baseline.step_time_s);
          }
        }
        const sum = plan.layers.reduce((total, { time_s }) => total + time_s, 0);
        expect(Math.abs(sum - plan.step_time_s)).toBeLessThanOrEqual(1e-9 * plan.step_time_s);
        const moved = plan.layers.reduce((total, layer) => total + layer.communication_bytes, 0);
        expect(Math.abs(moved - plan.communication_bytes)).toBeLessThanOrEqual(1e-9 * moved);
        expect(plan.devices).toHaveLength(mix.reduce((total, { count }) => total + count, 0));
        for (const layer of plan.layers) {
          const share = layer.shares.reduce((total, own) => total + own.share, 0);
          // A join may be done whole by everybody.
          if (layer.op !== "Add") expect(share).toBeCloseTo(1, 9);
        }
        if (plan.fits) {
          for (const device of plan.devices) {
            expect(device.memory_bytes).toBeLessThanOrEqual(device.memory_limit_bytes);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test.each(["energy", "cost"] as const)(
  "by %s too, a plan is never worse than a baseline that fits",
  (objective) => {
    const watched = mixes.filter((mix) => mix.every(({ accelerator }) => typeof accelerator === "object"));
    fc.assert(
      fc.property(graphs(5), watched, (network, mix) => {
        const plan = planNetwork(network, mix, { mode: "training", objective });
        const key = objective === "energy" ? "energy_j" : "price_usd";
        for (const baseline of Object.values(plan.baselines)) {
          if (baseline.fits) expect(plan[key] as number).toBeLessThanOrEqual(baseline[key] as number);
        }
      }),
      { numRuns: 30 },
    );
  },
);

test("the same question gets the same answer", async () => {
  const network = await zooNetwork("resnet-18", 64);
  const mix = [
    { accelerator: "tpu-v3", count: 3 },
    { accelerator: "tpu-v2", count: 2 },
  ];
  const plans = [0, 1].map(() => JSON.stringify(planNetwork(network, mix, { mode: "training" })));
  expect(plans[0]).toBe(plans[1]);
});

test("one device alone splits nothing and moves nothing", () => {
  const plan = planNetwork(chain([784, 300, 10]), [{ accelerator: "t4", count: 1 }]);
  expect(plan.layers.map(({ type }) => type)).toEqual([[], []]);
  expect(plan.layers.map(({ shares }) => shares)).toEqual([
    [{ device: "t4/0", share: 1 }],
    [{ device: "t4/0", share: 1 }],
  ]);
  expect(plan.communication_bytes).toBe(0);
  expect(plan.baselines.data_parallel.step_time_s).toBe(plan.step_time_s);
});

test("three equal devices each do a third of a batch that divides", () => {
  const device = { name: "d", flops: { fp32: 1e9 }, memory_bytes: 1e9, memory_bandwidth: 1e12 };
  const mix = [{ accelerator: { ...device, link: { bandwidth: 1e12, latency: 0 } }, count: 3 }];
  const network = chain([3000, 3000], 300);
  const plan = planNetwork(network, mix);
  for (const { share } of plan.layers[0]?.shares ?? []) expect(share).toBeCloseTo(1 / 3, 12);
  expect(plan.baselines.one_device.step_time_s / plan.step_time_s).toBeCloseTo(3, 2);
});

test("a link too slow to be worth it leaves the slower device idle", () => {
  const plan = planNetwork(chain([512, 512, 512], 8), [
    { accelerator: "h100", count: 1 },
    { accelerator: "browser", count: 1 },
  ]);
  expect(plan.layers[0]?.shares).toEqual([
    { device: "h100/0", share: 1 },
    { device: "browser/0", share: 0 },
  ]);
  expect(plan.devices[1]).toMatchObject({ memory_bytes: 0, busy_s: 0 });
  expect(plan.notes.join()).toContain("1 of 2 devices take part");
});

test("what does not fit on one device is split until it does, though that is slower", () => {
  const device = { name: "small", flops: { fp32: 1e12 }, memory_bytes: 3e8, memory_bandwidth: 1e11 };
  const mix = [{ accelerator: { ...device, link: { bandwidth: 1e8 } }, count: 4 }];
  const plan = planNetwork(chain([8192, 8192, 8192], 4), mix);
  expect(plan.baselines.one_device.fits).toBe(false);
  expect(plan.baselines.data_parallel.fits).toBe(false);
  expect(plan.fits).toBe(true);
});

test("what cannot fit says so", () => {
  const tiny = { name: "tiny", flops: { fp32: 1e12 }, memory_bytes: 1e3, memory_bandwidth: 1e11 };
  const plan = planNetwork(chain([512, 512]), [{ accelerator: tiny, count: 2 }]);
  expect(plan.fits).toBe(false);
  expect(plan.notes.join()).toMatch(/No plan was found that fits: the fullest device needs .* times/);
});

test("an objective needs its figure from every accelerator", () => {
  const plan = () =>
    planNetwork(chain([4, 4]), [{ accelerator: "tpu-v5e", count: 2 }], { objective: "energy" });
  expect(plan).toThrow(MixError);
  expect(plan).toThrow(/needs watts .*"tpu-v5e" has none/);
});

test("FLOPs by pass add up to a layer's", () => {
  for (const mode of ["training", "inference"] as const) {
    const plan = planNetwork(chain([300, 200, 100], 64), [{ accelerator: "h100", count: 2 }], { mode });
    const backward = mode === "training" ? 64 * 200 * (2 * 100 - 1) : 0;
    const gradient = mode === "training" ? 200 * 100 * (2 * 64 - 1) : 0;
    expect(plan.layers[0]?.flops_by_pass.backward).toBe(0);
    expect(plan.layers[1]?.flops_by_pass).toEqual({ forward: 64 * 100 * (2 * 200 - 1), backward, gradient });
    for (const { flops, flops_by_pass } of plan.layers) {
      expect(flops).toBe(flops_by_pass.forward + flops_by_pass.backward + flops_by_pass.gradient);
    }
  }
});

test("a layer is bound by what most of its time goes to: arithmetic, memory, or links where it has to be split", () => {
  const boundOf = (memory_bytes: number, memory_bandwidth: number) => {
    const accelerator = { name: "own", flops: { fp32: 1e12 }, memory_bytes, memory_bandwidth };
    const mix = [{ accelerator: { ...accelerator, link: { bandwidth: 1e6 } }, count: 4 }];
    return planNetwork(chain([8192, 8192, 8192], 64), mix).layers.map(({ bound, precision }) => [
      bound,
      precision,
    ]);
  };
  const both = (bound: string) => [0, 1].map(() => [bound, "fp32"]);
  expect(boundOf(1e12, 1e15)).toEqual(both("compute"));
  expect(boundOf(1e12, 1e9)).toEqual(both("memory"));
  expect(boundOf(3e8, 1e15).flat()).toContain("link");
});

test("a model without layers has an empty plan", () => {
  const network = { name: "empty", batch: 1, nodes: [], edges: [], notes: [] };
  const plan = planNetwork(network, [{ accelerator: "h100", count: 8 }]);
  expect(Plan.parse(plan)).toMatchObject({ step_time_s: 0, layers: [], communication_bytes: 0 });
});

test("a plan for AlexNet in training on a fast and a slow pair", async () => {
  const fast = { bandwidth: 1e11, latency: 0 };
  const plan = planNetwork(
    await zooNetwork("alexnet", 512),
    [
      { accelerator: "tpu-v3", count: 2, link: fast },
      { accelerator: "tpu-v2", count: 2, link: fast },
    ],
    { mode: "training" },
  );
  const lines = plan.layers.map(
    ({ name, type, shares, time_s }) =>
      `${name} ${type.join("/")} ${shares.map(({ share }) => share.toFixed(3)).join(" ")} ${(1e6 * time_s).toFixed(0)} µs`,
  );
  expect(lines).toMatchInlineSnapshot(`
    [
      "conv1 I/I 0.350 0.350 0.150 0.150 201 µs",
      "conv2 I/I 0.350 0.350 0.150 0.150 4816 µs",
      "conv3 I/I 0.350 0.350 0.150 0.150 1711 µs",
      "conv4 I/I 0.350 0.350 0.150 0.150 656 µs",
      "conv5 I/I 0.350 0.350 0.150 0.150 438 µs",
      "fc1 II/II 0.350 0.350 0.150 0.150 351 µs",
      "fc2 III/III 0.350 0.350 0.150 0.150 182 µs",
      "fc3 II/II 0.350 0.350 0.150 0.150 46 µs",
    ]
  `);
  expect(
    Object.entries(plan.baselines).map(
      ([name, { step_time_s }]) => `${name} ${(step_time_s / plan.step_time_s).toFixed(3)}`,
    ),
  ).toMatchInlineSnapshot(`
    [
      "data_parallel 2.061",
      "data_parallel_proportional 1.467",
      "owt 1.612",
      "hypar 1.612",
      "accpar 1.000",
      "one_device 2.635",
    ]
  `);
});
