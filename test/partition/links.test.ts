import fc from "fast-check";
import { expect, test } from "vitest";
import type { Link, Mix, Uplink } from "../../schemas/mix.ts";
import { costsOf } from "../../src/partition/cost.ts";
import { totalCost } from "../../src/partition/greedy.ts";
import { resolveMix } from "../../src/partition/mix.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { takePart } from "../../src/partition/subsets.ts";
import { hierarchyOf } from "../../src/partition/tree.ts";
import { chain, graphs } from "./random-networks.ts";

const device = { name: "d", flops: { fp32: 1e12 }, memory_bytes: 1e12, memory_bandwidth: 1e12, watts: 100 };

function group(count: number, link: Link, uplink?: Uplink): Mix[number] {
  return { accelerator: device, count, link, ...(uplink && { uplink }) };
}

function wiresOf(mix: Mix, counts?: readonly number[]) {
  const groups = resolveMix(mix);
  return hierarchyOf(counts ? takePart(groups, counts).groups : groups).cuts.map(({ wires }) => wires);
}

const bandwidths = (mix: Mix, counts?: readonly number[]) =>
  wiresOf(mix, counts).map(({ bandwidth }) => bandwidth);

test("through a switch half of the devices send at once; a ring is cut in two places, its arcs in one", () => {
  expect(bandwidths([group(8, { bandwidth: 5 })])).toEqual([20, 10, 5]);
  expect(bandwidths([group(8, { bandwidth: 5, topology: "ring" })])).toEqual([10, 5, 5]);
  expect(bandwidths([group(2, { bandwidth: 5, topology: "ring" })])).toEqual([5]);
});

test("some devices of a ring are a line", () => {
  expect(bandwidths([group(8, { bandwidth: 5, topology: "ring" })], [4])).toEqual([5, 5]);
});

test("entries reach each other by their uplinks, which their devices share; a byte pays on both sides", () => {
  const fast = { bandwidth: 300, latency: 1e-6, joules_per_byte: 1 };
  const slow = { bandwidth: 10, latency: 1e-3, joules_per_byte: 5 };
  const [between, ...within] = wiresOf([group(4, fast, slow), group(2, fast)]);
  expect(between).toEqual({ bandwidth: 10, latency: 1e-3, joulesPerByte: 6 });
  expect(within.map(({ bandwidth }) => bandwidth)).toEqual([300, 600, 300]);
});

test("a link's energy is its bytes times joules a byte, for two devices that sum a gradient", () => {
  const [from, to] = [64, 32];
  const mix = [group(2, { bandwidth: 1e9, latency: 0, joules_per_byte: 1e-6 })];
  const costs = costsOf(chain([from, to]), hierarchyOf(resolveMix(mix)), {
    mode: "training",
    measure: "joules",
    shares: "equal",
    countsInputError: false,
  });
  // Type I: each side receives the other's gradients, four bytes each.
  expect(totalCost(costs, [0])).toBeCloseTo(2 * from * to * 4 * 1e-6, 15);
});

test("the plan's energy is watts times the step and the links' joules; without either it is not known", () => {
  const link = { bandwidth: 1e9, latency: 0, joules_per_byte: 1e-9 };
  const options = { mode: "training", objective: "energy" } as const;
  const plan = planNetwork(chain([2048, 2048, 2048], 512), [group(4, link)], options);
  const devices = plan.layers[0]!.shares.filter(({ share }) => share > 0).length;
  const expected = devices * device.watts * plan.step_time_s + plan.communication_bytes * 1e-9;
  expect(Math.abs(plan.energy_j! / expected - 1)).toBeLessThan(1e-12);
});

test("where moving a byte is dear, a plan for least energy moves less than one for least time", () => {
  const link = { bandwidth: 1e12, latency: 0, joules_per_byte: 1e-4 };
  const network = chain([2048, 2048, 2048], 4096);
  const plan = (objective: "time" | "energy") =>
    planNetwork(network, [group(4, link)], { mode: "training", objective });
  const [time, energy] = [plan("time"), plan("energy")];
  expect(energy.communication_bytes).toBeLessThan(time.communication_bytes);
  expect(energy.energy_j!).toBeLessThan(time.energy_j!);
  expect(time.step_time_s).toBeLessThan(energy.step_time_s);
});

test("with links that take energy too, no baseline that fits needs less", () => {
  const links = fc.record({
    bandwidth: fc.double({ min: 1e6, max: 1e12, noNaN: true }),
    topology: fc.constantFrom("switch" as const, "ring" as const),
    joules_per_byte: fc.double({ min: 0, max: 1e-3, noNaN: true }),
  });
  const uplinks = fc.option(fc.record({ bandwidth: fc.double({ min: 1e6, max: 1e12, noNaN: true }) }), {
    nil: undefined,
  });
  fc.assert(
    fc.property(graphs(5), links, links, uplinks, (network, a, b, uplink) => {
      const mix = [group(4, a, uplink), group(3, b)];
      const plan = planNetwork(network, mix, { mode: "training", objective: "energy" });
      for (const baseline of Object.values(plan.baselines)) {
        if (baseline.fits) expect(plan.energy_j!).toBeLessThanOrEqual(baseline.energy_j!);
      }
    }),
    { numRuns: 30 },
  );
});
