import { env } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { type Account, jsonOf, newAccount, newModel, problemOf } from "./harness.ts";

let account: Account;
let model: string;

beforeAll(async () => {
  account = await newAccount();
  model = await newModel(account);
});

const accelerator = {
  name: "mine",
  flops: { fp32: 1e12 },
  memory_bytes: 1e9,
  memory_bandwidth: 1e11,
};
const mixOf = (change: object) => [{ accelerator: { ...accelerator, ...change }, count: 1 }];

/** What is wrong, the fields it is said to be in, and the request. */
const bad: [string, string[], object][] = [
  ["no model", ["/model"], { model: undefined }],
  ["a model that is no id", ["/model"], { model: "resnet" }],
  ["a model that does not exist", ["/model"], { model: "mdl_000000000000000000000000" }],
  ["a calibration that does not exist", ["/calibration"], { calibration: "cal_000000000000000000000000" }],
  ["an unknown field", ["/speed"], { speed: 1 }],
  ["an unknown field in the recipe", ["/recipe/sparcity"], { recipe: { sparcity: {} } }],
  ["an unknown field deep in the recipe", ["/recipe/sparsity/rate"], { recipe: { sparsity: { rate: 0.5 } } }],
  ["a ratio of one", ["/recipe/sparsity/ratio"], { recipe: { sparsity: { ratio: 1 } } }],
  ["a negative ratio", ["/recipe/sparsity/ratio"], { recipe: { sparsity: { ratio: -0.1 } } }],
  ["an unknown method", ["/recipe/methods/0"], { recipe: { methods: ["magic"] } }],
  ["text instead of a number", ["/recipe/target/size_ratio"], { recipe: { target: { size_ratio: "0.5" } } }],
  [
    "an unknown field in a layer",
    ["/recipe/layers/conv~11/ratio"],
    { recipe: { layers: { "conv/1": { ratio: 1 } } } },
  ],
  ["an empty mix", ["/mix"], { mix: [] }],
  ["an unknown accelerator", ["/mix/0/accelerator"], { mix: [{ accelerator: "tpu-v99", count: 1 }] }],
  ["a count of zero", ["/mix/0/count"], { mix: [{ accelerator: "tpu-v3", count: 0 }] }],
  ["half a device", ["/mix/0/count"], { mix: [{ accelerator: "tpu-v3", count: 0.5 }] }],
  [
    "an unknown field in the mix",
    ["/mix/0/number"],
    { mix: [{ accelerator: "tpu-v3", count: 1, number: 1 }] },
  ],
  ["no bandwidth", ["/mix/0/accelerator/memory_bandwidth"], { mix: mixOf({ memory_bandwidth: 0 }) }],
  ["a negative bandwidth", ["/mix/0/accelerator/memory_bandwidth"], { mix: mixOf({ memory_bandwidth: -1 }) }],
  ["an infinite rate", ["/mix/0/accelerator/flops/fp32"], { mix: mixOf({ flops: { fp32: "Infinity" } }) }],
  ["no precision", ["/mix/0/accelerator/flops"], { mix: mixOf({ flops: {} }) }],
  [
    "a link without bandwidth",
    ["/mix/0/link/bandwidth"],
    { mix: [{ accelerator: "tpu-v3", count: 1, link: { bandwidth: 0 } }] },
  ],
  [
    "a negative latency",
    ["/mix/0/link/latency"],
    { mix: [{ accelerator: "tpu-v3", count: 1, link: { bandwidth: 1e9, latency: -1 } }] },
  ],
  [
    "an uplink without bandwidth",
    ["/mix/0/uplink/bandwidth"],
    { mix: [{ accelerator: "tpu-v3", count: 1, uplink: { latency: 0 } }] },
  ],
  ["an accelerator without a name", ["/mix/0/accelerator/name"], { mix: mixOf({ name: "" }) }],
  ["no memory", ["/mix/0/accelerator/memory_bytes"], { mix: mixOf({ memory_bytes: 0 }) }],
  ["a million devices", ["/mix/0/count"], { mix: [{ accelerator: "tpu-v3", count: 1e6 }] }],
  ["a batch of zero", ["/plan/batch"], { plan: { batch: 0 } }],
  ["metadata that is no text", ["/metadata/a"], { metadata: { a: 1 } }],
  ["a webhook that is no address", ["/webhook/url"], { webhook: { url: "here" } }],
  ["a webhook to a private address", ["/webhook/url"], { webhook: { url: "https://10.0.0.1/" } }],
  ["a webhook over http", ["/webhook/url"], { webhook: { url: "http://example.com/" } }],
  [
    "a webhook with a short secret",
    ["/webhook/secret"],
    { webhook: { url: "https://example.com/", secret: "whsec_YQ==" } },
  ],
];

describe("a compression with a bad field is refused, and the answer points at it", () => {
  test.each(bad)("%s", async (_, pointers, change) => {
    const response = await account.post("/v1/compressions", { model, ...change });
    const problem = await problemOf(response);
    expect([response.status, problem.errors?.map(({ pointer }) => pointer)]).toEqual([422, pointers]);
    expect(problem.detail).not.toBe("");
  });

  test("nothing of this has made a job", async () => {
    expect(await jsonOf(await account.fetch("/v1/compressions"))).toMatchObject({ data: [] });
  });
});

describe("a body that is no JSON", () => {
  test.each(["", "{", '{"model": }', "\u0000", "[1,2"])("400: %j", async (body) => {
    const response = await account.upload("/v1/compressions", body, { "content-type": "application/json" });
    expect([response.status, (await problemOf(response)).code]).toEqual([400, "malformed_body"]);
  });

  test.each(["null", "[]", "1", '"x"'])("422: %s", async (body) => {
    const response = await account.upload("/v1/compressions", body, { "content-type": "application/json" });
    expect([response.status, (await problemOf(response)).code]).toEqual([422, "invalid_request"]);
  });

  test("415 where it is called something else, 413 where it is too long", async () => {
    const typed = await account.upload("/v1/compressions", "{}", { "content-type": "text/plain" });
    expect([typed.status, (await problemOf(typed)).code]).toEqual([415, "unsupported_media_type"]);
    const long = await account.post("/v1/compressions", { model, metadata: { a: "x".repeat(1_000_000) } });
    expect([long.status, (await problemOf(long)).code]).toEqual([413, "too_large"]);
  });

  test("deep nesting is refused, and the server goes on", async () => {
    const body = `{"recipe":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const response = await account.upload("/v1/compressions", body, { "content-type": "application/json" });
    expect([400, 422]).toContain(response.status);
    expect((await account.fetch("/v1/models")).status).toBe(200);
  });
});

describe("plans", () => {
  const mix = [
    { accelerator: "tpu-v3", count: 2 },
    { accelerator: "tpu-v2", count: 2 },
  ];

  test("of an uploaded model and of the zoo are answered at once", async () => {
    for (const planned of [model, "zoo:alexnet"]) {
      const plan = await jsonOf<{ devices: unknown[]; step_time_s: number; baselines: object }>(
        await account.post("/v1/plans", { model: planned, mix, mode: "training", batch: 128 }),
      );
      expect(plan.devices).toHaveLength(4);
      for (const baseline of Object.values(plan.baselines)) {
        expect(plan.step_time_s).toBeLessThanOrEqual(baseline.step_time_s * (1 + 1e-9));
      }
    }
  });

  test.each([
    ["an empty mix", { model: "zoo:alexnet", mix: [] }, 422],
    ["an unknown accelerator", { model: "zoo:alexnet", mix: [{ accelerator: "x", count: 1 }] }, 422],
    ["an unknown field", { model: "zoo:alexnet", mix, speed: 1 }, 422],
    [
      "too many devices in all",
      { model: "zoo:alexnet", mix: [...mix, { accelerator: "t4", count: 4096 }] },
      422,
    ],
    ["an unknown zoo model", { model: "zoo:nothing", mix }, 422],
    ["a model that does not exist", { model: "mdl_000000000000000000000000", mix }, 404],
  ])("refuse %s", async (_, request, status) => {
    const response = await account.post("/v1/plans", request);
    expect(response.status).toBe(status);
    expect((await problemOf(response)).status).toBe(status);
  });

  test("the catalogue lists accelerators with the source of each figure", async () => {
    const { data } = await jsonOf<{ data: { name: string; sources: object }[] }>(
      await account.fetch("/v1/accelerators"),
    );
    expect(data.map(({ name }) => name)).toContain("tpu-v3");
    for (const { sources } of data) expect(sources).toHaveProperty("flops");
  });
});

test("a refused request leaves no row behind", async () => {
  const { results } = await env.DB.prepare("SELECT id FROM compressions WHERE account_id = ?")
    .bind(account.id)
    .all();
  expect(results).toEqual([]);
});
