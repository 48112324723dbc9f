import { expect, test } from "vitest";
import { planNetwork } from "../../src/partition/plan.ts";
import { zooNetwork } from "../../src/partition/zoo.ts";

/** ALGORITHMS: communication in elements, 128 equal devices, batch 512, as AccPar's public code counts. */
const TOTALS = {
  alexnet: { data_parallel: 7.921e9, owt: 1.105e9, hypar: 7.445e8, accpar: 5.628e8, joint: 5.28e8 },
  "vgg-11": { data_parallel: 1.687e10, owt: 1.828e9, hypar: 1.396e9, accpar: 1.184e9, joint: 1.09e9 },
} as const;

test.each(Object.entries(TOTALS))("%s has AccPar's published totals to four digits", async (name, totals) => {
  const network = await zooNetwork(name, 512);
  const plan = planNetwork(network, [{ accelerator: "generic", count: 128 }], { cost_model: "accpar" });
  const { joint, ...baselines } = totals;
  for (const [baseline, expected] of Object.entries(baselines)) {
    const counted = plan.baselines[baseline as keyof typeof baselines].communication_elements;
    expect(Number(counted?.toPrecision(4)), baseline).toBe(expected);
  }
  expect(Number(plan.communication_elements?.toPrecision(4))).toBe(joint);
  expect(plan.mode).toBe("training");
});
