import { expect, test } from "vitest";
import { ACCELERATORS, CatalogueEntry } from "../../schemas/accelerators.ts";
import { Plan } from "../../schemas/plan.ts";
import { MixError } from "../../src/partition/errors.ts";
import { checkMix, findAccelerator, parseMix, resolveMix } from "../../src/partition/mix.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { chain } from "./random-networks.ts";

function caught(run: () => unknown): MixError {
  try {
    run();
  } catch (error) {
    if (error instanceof MixError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("the command line's form names accelerators and counts", () => {
  expect(parseMix("tpu-v3:2, TPU-v2:4,h100")).toEqual([
    { accelerator: "tpu-v3", count: 2 },
    { accelerator: "TPU-v2", count: 4 },
    { accelerator: "h100", count: 1 },
  ]);
});

test.each([
  ["", "empty", ""],
  [" , ", "empty", ""],
  ["tpu-v3:2,,h100", "bad_syntax", "/1"],
  ["tpu v3:2", "bad_syntax", "/0"],
  ["tpu-v3:two", "bad_count", "/0/count"],
  ["tpu-v3:-1", "bad_count", "/0/count"],
  ["tpu-v3:", "bad_count", "/0/count"],
  ["tpu-v3:1.5", "bad_count", "/0/count"],
  ["tpu-v3:1e3", "bad_count", "/0/count"],
  ["tpu-v3:0", "bad_count", "/0/count"],
  ["tpu-v3:1000000", "too_many_devices", ""],
  ["tpu-v3:4000,h100:97", "too_many_devices", ""],
  ["h100:999999999999999999999", "bad_count", "/0/count"],
  [Array(17).fill("h100").join(), "too_many_entries", ""],
  ["h100:2,tpu-v9:1", "unknown_accelerator", "/1/accelerator"],
] as const)("%j is refused as %s at %j", (text, code, pointer) => {
  const error = caught(() => parseMix(text));
  expect([error.code, error.pointer]).toEqual([code, pointer]);
  expect(error.message.length).toBeGreaterThan(20);
});

test("an unknown name lists the nearest ones", () => {
  expect(caught(() => findAccelerator("tpuv3")).suggestions).toContain("tpu-v3");
  expect(caught(() => findAccelerator("4090")).suggestions[0]).toBe("rtx-4090");
  expect(caught(() => findAccelerator("x".repeat(10_000))).suggestions).toHaveLength(3);
  expect(caught(() => findAccelerator("constructor")).code).toBe("unknown_accelerator");
});

const own = {
  name: "own",
  flops: { fp32: 1e12 },
  memory_bytes: 1e9,
  memory_bandwidth: 1e11,
  link: { bandwidth: 1e9 },
};

const refused = (change: object, entry: object = {}) =>
  caught(() => checkMix([{ accelerator: { ...own, ...change }, count: 2, ...entry }]));

test.each([
  ["an empty name", { name: "" }, {}, "/0/accelerator/name"],
  ["a name of 65 characters", { name: "x".repeat(65) }, {}, "/0/accelerator/name"],
  ["an empty catalogue name", {}, { accelerator: "" }, "/0/accelerator"],
  ["a catalogue name of 1000 characters", {}, { accelerator: "x".repeat(1000) }, "/0/accelerator"],
  ["no accelerator", {}, { accelerator: null }, "/0/accelerator"],
  ["an unknown precision", { flops: { fp31: 1e12 } }, {}, "/0/accelerator/flops/fp31"],
  ["a rate that is no number", { flops: { fp32: Number.NaN } }, {}, "/0/accelerator/flops/fp32"],
  ["a rate of zero", { flops: { fp32: 0 } }, {}, "/0/accelerator/flops/fp32"],
  ["memory left out", { memory_bytes: undefined }, {}, "/0/accelerator/memory_bytes"],
  ["memory so small that sums overflow", { memory_bytes: 5e-324 }, {}, "/0/accelerator/memory_bytes"],
  [
    "a bandwidth so large that sums overflow",
    { memory_bandwidth: 1e308 },
    {},
    "/0/accelerator/memory_bandwidth",
  ],
  [
    "infinite bandwidth",
    { memory_bandwidth: Number.POSITIVE_INFINITY },
    {},
    "/0/accelerator/memory_bandwidth",
  ],
  ["a price below nothing", { price_per_hour: -1 }, {}, "/0/accelerator/price_per_hour"],
  ["sparsity that is no yes or no", { sparse_2_4: "yes" }, {}, "/0/accelerator/sparse_2_4"],
  ["an unknown topology", { link: { bandwidth: 1, topology: "torus" } }, {}, "/0/accelerator/link/topology"],
  ["energy gained by moving", {}, { link: { bandwidth: 1, joules_per_byte: -1 } }, "/0/link/joules_per_byte"],
  ["NaN bandwidth of the entry's link", {}, { link: { bandwidth: Number.NaN } }, "/0/link/bandwidth"],
  ["infinite latency", {}, { link: { bandwidth: 1, latency: Number.POSITIVE_INFINITY } }, "/0/link/latency"],
  ["an uplink without bandwidth", {}, { uplink: {} }, "/0/uplink/bandwidth"],
  ["an uplink of zero bandwidth", {}, { uplink: { bandwidth: 0 } }, "/0/uplink/bandwidth"],
  ["negative latency of an uplink", {}, { uplink: { bandwidth: 1, latency: -1e-6 } }, "/0/uplink/latency"],
  ["a ring of uplinks", {}, { uplink: { bandwidth: 1, topology: "ring" } }, "/0/uplink/topology"],
  ["an unknown field of the entry", {}, { speed: 1 }, "/0/speed"],
])("%s is refused at its field", (_, change, entry, pointer) => {
  const error = refused(change, entry);
  expect([error.code, error.pointer]).toEqual(["bad_figure", pointer]);
  expect(error.message).toMatch(/^mix 0\.\w+.*: .{10}/);
});

test("10⁶ devices are refused before anything is planned, in one entry or in several", () => {
  expect(refused({}, { count: 1e6 }).code).toBe("too_many_devices");
  expect(refused({}, { count: 1e300 }).code).toBe("too_many_devices");
  const several = Array.from({ length: 16 }, () => ({ accelerator: own, count: 1000 }));
  expect(caught(() => checkMix(several)).code).toBe("too_many_devices");
});

test("the largest and smallest figures give a plan of finite numbers", () => {
  const extremes = [1e-9, 1e24];
  for (const flops of extremes) {
    for (const bandwidth of extremes) {
      const link = { bandwidth, latency: 1e24, joules_per_byte: 1e24 };
      const accelerator = {
        ...own,
        flops: { fp32: flops },
        memory_bytes: bandwidth,
        memory_bandwidth: bandwidth,
        watts: 1e24,
        price_per_hour: 1e24,
      };
      const mix = [
        { accelerator, count: 3, link, uplink: link },
        { accelerator: own, count: 1 },
      ];
      const plan = planNetwork(chain([784, 300, 10]), mix, { mode: "training" });
      expect(Plan.parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
    }
  }
});

test.each([
  ["zero bandwidth of a link", { link: { bandwidth: 0 } }, "bandwidth"],
  ["negative bandwidth of a link", { link: { bandwidth: -5 } }, "bandwidth"],
  ["NaN memory bandwidth", { memory_bandwidth: Number.NaN }, "memory_bandwidth"],
  ["no memory", { memory_bytes: 0 }, "memory_bytes"],
  ["infinite memory", { memory_bytes: Number.POSITIVE_INFINITY }, "memory_bytes"],
  ["negative watts", { watts: -1 }, "watts"],
  ["no precision", { flops: {} }, "flops"],
  ["negative latency", { link: { bandwidth: 1e9, latency: -1 } }, "latency"],
  ["an unknown field", { colour: "red" }, "colour"],
])("%s is refused with a pointer", (_, change, field) => {
  const error = caught(() => checkMix([{ accelerator: { ...own, ...change }, count: 2 }]));
  expect(error.code).toBe("bad_figure");
  expect(error.pointer).toMatch(new RegExp(`^/0/accelerator.*${field}|^/0/accelerator$`));
});

test.each([[null], [[]], [{}], ["tpu-v3:2"], [undefined]])("%j is no mix", (value) => {
  expect(caught(() => checkMix(value)).code).toBe("empty");
});

test.each([[[null]], [[7]], [[{ accelerator: "h100" }]], [[{ accelerator: "h100", count: Number.NaN }]]])(
  "%j has no count",
  (value) => {
    expect(caught(() => checkMix(value)).code).toBe("bad_count");
  },
);

test("a link of the mix comes before the accelerator's own, and what is missing is assumed", () => {
  const [declared, inherited, assumed] = resolveMix([
    { accelerator: own, count: 1, link: { bandwidth: 5, latency: 1 } },
    { accelerator: own, count: 1 },
    { accelerator: { ...own, link: undefined }, count: 1 },
  ]);
  expect(declared?.link).toEqual({ bandwidth: 5, latency: 1, topology: "switch", joules_per_byte: 0 });
  expect(inherited).toMatchObject({
    link: { bandwidth: 1e9, latency: 5e-6 },
    assumed: { bandwidth: false, latency: true },
  });
  expect(assumed).toMatchObject({ link: { bandwidth: 1.25e9 }, assumed: { bandwidth: true } });
});

test("every figure of the catalogue has its source, and every entry is valid and has its own name", () => {
  for (const entry of ACCELERATORS) {
    expect(CatalogueEntry.parse(entry)).toEqual(entry);
    const { name: _name, title: _title, sources, ...figures } = entry;
    expect(Object.keys(sources).sort(), entry.name).toEqual(Object.keys(figures).sort());
  }
  const names = ACCELERATORS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(
    expect.arrayContaining(
      "generic tpu-v2 tpu-v3 tpu-v4 tpu-v5e tpu-v5p v100 a100 h100 h200 b200 l4 t4 rtx-4090 mi300x jetson-orin apple-m2 server-cpu phone-npu browser".split(
        " ",
      ),
    ),
  );
});
