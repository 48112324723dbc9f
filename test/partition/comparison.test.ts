import { expect, test } from "vitest";
import type { Mix } from "../../schemas/mix.ts";
import type { PlanOptions } from "../../schemas/plan.ts";
import { comparedFigures, comparedTitle, timesThePlan } from "../../src/partition/comparison.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { chain } from "./random-networks.ts";

const device = { name: "d", flops: { fp32: 1e12 }, memory_bytes: 1e12, memory_bandwidth: 1e11 };
const bare: Mix = [{ accelerator: device, count: 4 }];
const priced: Mix = [{ accelerator: { ...device, watts: 100, price_per_hour: 3.6 }, count: 4 }];

function compared(mix: Mix, options: PlanOptions) {
  const plan = planNetwork(chain([2048, 1024, 512], 64), mix, options);
  const titles = [...comparedFigures(plan).map(({ title }) => title), comparedTitle(plan)];
  return { plan, titles };
}

test.each<[string, Mix, PlanOptions, string[]]>([
  ["time alone", bare, {}, ["times the step"]],
  ["energy and price where they are known", priced, {}, ["energy", "per million steps", "times the step"]],
  ["the rate where it is planned for", bare, { serving: "throughput" }, ["samples/s", "times the period"]],
  ["energy", priced, { objective: "energy" }, ["energy", "per million steps", "times the energy"]],
  ["price", priced, { objective: "cost" }, ["energy", "per million steps", "times the price"]],
  ["elements", bare, { cost_model: "accpar" }, ["times the elements"]],
])(
  "a comparison shows %s, and no baseline that fits spends less of it than the plan",
  (_, mix, options, expected) => {
    const { plan, titles } = compared(mix, options);
    expect(titles).toEqual(expected);
    expect(timesThePlan(plan, plan)).toBe(1);
    // AccPar's counting is about the whole array, so one device alone is no rival there.
    const { one_device, ...others } = plan.baselines;
    for (const baseline of [...Object.values(others), ...(options.cost_model ? [] : [one_device])]) {
      expect(timesThePlan(plan, baseline)).toBeGreaterThanOrEqual(1);
    }
  },
);

test("figures are told in units that people read", () => {
  const { plan } = compared(priced, { serving: "throughput" });
  const figures = { ...plan, samples_per_s: 123456.7, energy_j: 0.01234, price_usd: 2.5e-6 };
  expect(comparedFigures(plan).map(({ text }) => text(figures))).toEqual(["123,457", "12.3 mJ", "$2.50"]);
  const unknown = { ...figures, energy_j: null, price_usd: null };
  expect(comparedFigures(plan).map(({ text }) => text(unknown))).toEqual(["123,457", "–", "–"]);
});

test("a plan that takes nothing is compared with nothing", () => {
  const plan = planNetwork({ name: "empty", batch: 1, nodes: [], edges: [], notes: [] }, bare);
  expect(timesThePlan(plan, plan.baselines.owt)).toBeNull();
});
