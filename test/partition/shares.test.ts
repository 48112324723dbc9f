import fc from "fast-check";
import { expect, test } from "vitest";
import { resolveMix } from "../../src/partition/mix.ts";
import { sharesOf, sideTime, solveShare } from "../../src/partition/shares.ts";
import { hierarchyOf } from "../../src/partition/tree.ts";
import { chain } from "./random-networks.ts";

const rate = fc.double({ min: 1e6, max: 1e16, noNaN: true });
const amount = fc.double({ min: 1, max: 1e18, noNaN: true });

test("unequal shares balance both sides' times within 1e-9, or leave one side idle", () => {
  fc.assert(
    fc.property(
      fc.record({ flops: rate, memoryBandwidth: rate }),
      fc.record({ flops: rate, memoryBandwidth: rate }),
      fc.record({ flops: amount, splitBytes: amount, wholeBytes: fc.constantFrom(0, 1, 1e6, 1e12) }),
      (a, b, load) => {
        const share = solveShare(a, b, load);
        const [first, second] = [sideTime(a, load, share), sideTime(b, load, 1 - share)];
        // Near 0 and 1 the last bit of the share itself is worth more than 1e-9 of the smaller side's time.
        const resolution = 2 ** -52 * Math.max(sideTime(a, load, 1), sideTime(b, load, 1));
        const slack = 1e-9 * Math.max(first, second) + resolution;
        if (share > 0) expect(first).toBeLessThanOrEqual(second + slack);
        if (share < 1) expect(second).toBeLessThanOrEqual(first + slack);
      },
    ),
    // Shrinking numbers of such ranges takes for ever.
    { endOnFailure: true },
  );
});

test("bound by compute, shares follow the FLOP/s: TPU v3 and v2 as 420 to 180", () => {
  const share = solveShare(
    { flops: 420e12, memoryBandwidth: 4.8e12 },
    { flops: 180e12, memoryBandwidth: 2.4e12 },
    { flops: 1e15, splitBytes: 1, wholeBytes: 1 },
  );
  expect(share).toBeCloseTo(0.7, 12);
});

test("equal devices share by their number, whatever the policy", () => {
  const network = chain([512, 512, 512]);
  const hierarchy = hierarchyOf(resolveMix([{ accelerator: "a100", count: 3 }]));
  for (const policy of ["layer", "network", "equal"] as const) {
    const shares = sharesOf(network.nodes, hierarchy, "training", policy);
    const [first] = network.nodes;
    if (!first) throw new Error("unreachable");
    expect([...shares(first)]).toEqual([2 / 3, 2 / 3, 2 / 3, 1 / 2, 1 / 2, 1 / 2]);
  }
});

test("one share for the whole step lies between the layers' own", () => {
  const network = chain([2048, 2048, 64, 2048], 4096);
  const hierarchy = hierarchyOf(
    resolveMix([
      { accelerator: "tpu-v3", count: 1 },
      { accelerator: "tpu-v2", count: 1 },
    ]),
  );
  const own = sharesOf(network.nodes, hierarchy, "training", "layer");
  const each = network.nodes.map((node) => own(node)[0] as number);
  const [first] = network.nodes;
  if (!first) throw new Error("unreachable");
  const whole = sharesOf(network.nodes, hierarchy, "training", "network")(first)[0] as number;
  expect(whole).toBeGreaterThanOrEqual(Math.min(...each) - 1e-9);
  expect(whole).toBeLessThanOrEqual(Math.max(...each) + 1e-9);
});
