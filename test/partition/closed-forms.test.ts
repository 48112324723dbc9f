import fc from "fast-check";
import { expect, test } from "vitest";
import type { Link } from "../../schemas/mix.ts";
import { costsOf } from "../../src/partition/cost.ts";
import { resolveMix } from "../../src/partition/mix.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { hierarchyOf } from "../../src/partition/tree.ts";
import { chain } from "./random-networks.ts";

/** Formulas of docs/cost-model.md, each written out. */
const device = { name: "d", flops: { fp32: 1e12 }, memory_bytes: 1e15, memory_bandwidth: 1e20 };
const [FROM, TO, BATCH] = [512, 256, 4096];
const BYTES = 4 * FROM * TO;

/** Seconds that n devices take to sum the gradients of one layer, all levels by batch. */
function allReduce(n: number, link: Link): number {
  const groups = resolveMix([{ accelerator: device, count: n, link }]);
  const costs = costsOf(chain([FROM, TO], BATCH), hierarchyOf(groups), {
    mode: "training",
    measure: "time",
    shares: "equal",
    countsInputError: false,
  });
  const compute = (FROM * TO * (2 * BATCH - 1) + BATCH * TO * (2 * FROM - 1)) / n / 1e12;
  return costs.unary(0, 0) - compute;
}

const powers = fc.integer({ min: 1, max: 8 }).map((k) => 2 ** k);
const figure = (min: number, max: number) => fc.double({ min, max, noNaN: true });

test("n devices behind a switch sum in 2(1 − 1/n)·bytes/bandwidth + log₂ n messages, within 1e-9", () => {
  fc.assert(
    fc.property(powers, figure(1e3, 1e9), figure(0, 1), (n, bandwidth, latency) => {
      const expected = (2 * (1 - 1 / n) * BYTES) / bandwidth + Math.log2(n) * latency;
      const found = allReduce(n, { bandwidth, latency });
      expect(Math.abs(found - expected)).toBeLessThanOrEqual(1e-9 * expected + 1e-12);
    }),
  );
});

test("a ring of n devices sums in (log₂ n − 1/2)·bytes/bandwidth, never less than the (1 − 1/n) of a ring all-reduce, within 1e-9", () => {
  fc.assert(
    fc.property(
      powers.filter((n) => n > 2),
      figure(1e3, 1e9),
      (n, bandwidth) => {
        const expected = ((Math.log2(n) - 1 / 2) * BYTES) / bandwidth;
        const found = allReduce(n, { bandwidth, latency: 0, topology: "ring" });
        expect(Math.abs(found - expected)).toBeLessThanOrEqual(1e-9 * expected + 1e-12);
        expect(found).toBeGreaterThan(((1 - 1 / n) * BYTES) / bandwidth);
      },
    ),
  );
});

test("a layer on one device takes the longer of FLOPs/rate and bytes/memory bandwidth, within 1e-12", () => {
  fc.assert(
    fc.property(
      figure(1e6, 1e15),
      figure(1e6, 1e15),
      fc.constantFrom("training" as const, "inference" as const),
      (flops, memory_bandwidth, mode) => {
        const accelerator = { ...device, flops: { fp32: flops }, memory_bandwidth };
        const plan = planNetwork(chain([FROM, TO], BATCH), [{ accelerator, count: 1 }], { mode });
        const [forward, gradient] = [BATCH * TO * (2 * FROM - 1), FROM * TO * (2 * BATCH - 1)];
        const [passes, update, work] = mode === "training" ? [3, 7, forward + gradient] : [1, 0, forward];
        const bytes = passes * 4 * (BATCH * FROM + BATCH * TO) + (passes + update) * BYTES;
        const expected = Math.max(work / flops, bytes / memory_bandwidth);
        expect(Math.abs(plan.step_time_s / expected - 1)).toBeLessThanOrEqual(1e-12);
      },
    ),
  );
});

test.each([
  ["inference", BYTES + 4 * TO * 64, 4 * BATCH * (FROM + TO)],
  ["training", 4 * (BYTES + 4 * TO * 64) + 4 * BATCH * (FROM + TO), 4 * BATCH * (FROM + TO)],
] as const)("memory of %s: what is kept, and the largest layer's input and output", (mode, kept, working) => {
  const plan = planNetwork(chain([FROM, TO, 64], BATCH), [{ accelerator: device, count: 1 }], { mode });
  expect(plan.devices.map(({ memory_bytes }) => memory_bytes)).toEqual([kept + working]);
});

test("price and energy are those of every device that takes part, for the whole step, within 1e-12", () => {
  const accelerator = { ...device, watts: 250, price_per_hour: 3.6 };
  const mix = [{ accelerator, count: 4, link: { bandwidth: 1e15, latency: 0 } }];
  const plan = planNetwork(chain([FROM, TO], BATCH), mix, { objective: "time" });
  expect(plan.layers[0]?.shares.every(({ share }) => share === 1 / 4)).toBe(true);
  expect(Math.abs((plan.energy_j as number) / (4 * 250 * plan.step_time_s) - 1)).toBeLessThan(1e-12);
  expect(Math.abs((plan.price_usd as number) / (4 * 0.001 * plan.step_time_s) - 1)).toBeLessThan(1e-12);
});
