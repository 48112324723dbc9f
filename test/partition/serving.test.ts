import fc from "fast-check";
import { expect, test } from "vitest";
import type { Mix } from "../../schemas/mix.ts";
import { PlanOptions } from "../../schemas/plan.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { chain, graphs } from "./random-networks.ts";

function device(name: string, flops: number, bandwidth: number, latency = 0) {
  const link = { bandwidth, latency };
  return { name, flops: { fp32: flops }, memory_bytes: 1e12, memory_bandwidth: 1e15, watts: 10, link };
}

test("one device serves as many samples as it has time for, whatever is planned for", () => {
  const mix = [{ accelerator: device("d", 1e12, 1e9), count: 1 }];
  for (const serving of ["latency", "throughput"] as const) {
    const plan = planNetwork(chain([512, 512, 512], 100), mix, { serving });
    expect(plan.serving).toBe(serving);
    expect(plan.samples_per_s * plan.step_time_s).toBeCloseTo(100, 9);
  }
});

test("overlapping steps are as frequent as the busier of computing and moving allows", () => {
  // Two equal devices, one layer split by input channels: half of the work each, and all partial sums exchanged.
  const [batch, from, to] = [1, 1 << 20, 64];
  const [flops, bandwidth, latency] = [1e9, 1e6, 1e-3];
  const plan = planNetwork(
    chain([from, to], batch),
    [{ accelerator: device("d", flops, bandwidth, latency), count: 2 }],
    { serving: "throughput" },
  );
  expect(plan.layers[0]!.type).toEqual(["III"]);
  const computing = (batch * (to / 2) * (2 * from - 1)) / flops;
  expect(Math.abs((plan.samples_per_s * computing) / batch - 1)).toBeLessThan(1e-12);
});

test("a link that is slow to answer costs a batch time, and a stream of batches none", () => {
  const network = chain([1 << 12, 1 << 12, 1 << 12], 1);
  const mix = [{ accelerator: device("d", 1e9, 1e9, 1), count: 2 }];
  const [latency, throughput] = (["latency", "throughput"] as const).map((serving) =>
    planNetwork(network, mix, { serving }),
  );
  expect(throughput!.samples_per_s).toBeGreaterThan(1.5 * latency!.samples_per_s);
});

const figure = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const mixes: fc.Arbitrary<Mix> = fc
  .array(fc.tuple(figure(1e9, 1e13), figure(1e6, 1e11), figure(0, 1e-3), fc.integer({ min: 1, max: 4 })), {
    minLength: 1,
    maxLength: 3,
  })
  .map((all) =>
    all.map(([flops, bandwidth, latency, count], i) => ({
      accelerator: device(`d${i}`, flops, bandwidth, latency),
      count,
    })),
  );

test("planned for throughput, no baseline that fits serves more, nor does the plan for latency; planned for latency, none is faster", () => {
  fc.assert(
    fc.property(graphs(6), mixes, (network, mix) => {
      const [latency, throughput] = (["latency", "throughput"] as const).map((serving) =>
        planNetwork(network, mix, { serving }),
      );
      for (const { fits, samples_per_s } of Object.values(throughput!.baselines)) {
        if (fits) expect(throughput!.samples_per_s).toBeGreaterThanOrEqual(samples_per_s);
      }
      expect(throughput!.samples_per_s).toBeGreaterThanOrEqual(latency!.samples_per_s * (1 - 1e-9));
      expect(latency!.step_time_s).toBeLessThanOrEqual(throughput!.step_time_s * (1 + 1e-9));
    }),
    { numRuns: 60 },
  );
});

test("training cannot be planned for throughput", () => {
  const parsed = PlanOptions.safeParse({ mode: "training", serving: "throughput" });
  expect(parsed.error?.issues[0]).toMatchObject({ path: ["serving"] });
  expect(PlanOptions.safeParse({ serving: "throughput" }).success).toBe(true);
});
