import { beforeAll, describe, expect, test } from "vitest";
import { newKey } from "../../src/store/keys.ts";
import { type Account, jsonOf, newAccount, newModel, problemOf, request } from "./harness.ts";

let alice: Account;
let bob: Account;

beforeAll(async () => {
  alice = await newAccount();
  bob = await newAccount();
});

describe("keys", () => {
  test.each([
    ["no header", {}],
    ["another scheme", { authorization: "Basic YTpi" }],
    ["something that is no key", { authorization: "Bearer hello" }],
    ["a key that nobody has", { authorization: `Bearer ${newKey()}` }],
  ])("401 with %s", async (_, headers: Record<string, string>) => {
    const response = await request("/v1/models", { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect(await problemOf(response)).toMatchObject({
      code: "unauthenticated",
      status: 401,
      instance: "/v1/models",
    });
  });

  test("an unauthenticated upload stores nothing and is not read", async () => {
    const response = await request("/v1/models", { method: "POST", body: new Uint8Array(100_000) });
    expect(response.status).toBe(401);
  });
});

describe("accounts", () => {
  test("see nothing of each other, whatever they do to it", async () => {
    const model = await newModel(alice);
    const compression = await jsonOf<{ id: string }>(await alice.post("/v1/compressions", { model }));
    const endpoint = await jsonOf<{ id: string }>(
      await alice.post("/v1/webhook_endpoints", { url: "https://example.com/hook" }),
    );
    const upload = await jsonOf<{ id: string }>(await alice.post("/v1/uploads", { bytes: 100 }));
    const foreign: [string, string][] = [
      ["GET", `/v1/models/${model}`],
      ["DELETE", `/v1/models/${model}`],
      ["GET", `/v1/compressions/${compression.id}`],
      ["DELETE", `/v1/compressions/${compression.id}`],
      ["POST", `/v1/compressions/${compression.id}/cancel`],
      ["GET", `/v1/compressions/${compression.id}/events`],
      ["GET", `/v1/compressions/${compression.id}/artifact`],
      ["GET", `/v1/compressions/${compression.id}/report`],
      ["GET", `/v1/compressions/${compression.id}/plan`],
      ["GET", `/v1/compressions/${compression.id}/deliveries`],
      ["GET", `/v1/webhook_endpoints/${endpoint.id}`],
      ["DELETE", `/v1/webhook_endpoints/${endpoint.id}`],
      ["GET", `/v1/webhook_endpoints/${endpoint.id}/deliveries`],
      ["GET", `/v1/uploads/${upload.id}`],
      ["DELETE", `/v1/uploads/${upload.id}`],
      ["POST", `/v1/uploads/${upload.id}/complete`],
    ];
    for (const [method, path] of foreign) {
      const response = await bob.fetch(path, { method });
      expect([method, path, response.status]).toEqual([method, path, 404]);
      expect((await problemOf(response)).code).toBe("not_found");
    }
    for (const list of ["/v1/models", "/v1/compressions", "/v1/webhook_endpoints", "/v1/calibrations"]) {
      expect(await jsonOf(await bob.fetch(list))).toEqual({ object: "list", data: [], has_more: false });
    }
    expect((await bob.post("/v1/compressions", { model })).status).toBe(422);
    expect((await alice.fetch(`/v1/models/${model}`)).status).toBe(200);
    await alice.fetch(`/v1/compressions/${compression.id}/cancel`, { method: "POST" });
  });
});

describe("routes", () => {
  test("an unknown one is 404", async () => {
    const response = await alice.fetch("/v1/nothing");
    expect(response.status).toBe(404);
    expect((await problemOf(response)).code).toBe("not_found");
    expect((await request("/nothing")).status).toBe(404);
  });

  test("a wrong method is 405 and says which are right", async () => {
    const response = await alice.fetch("/v1/models/mdl_000000000000000000000000", { method: "PUT" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("DELETE, GET, HEAD");
    expect((await problemOf(response)).code).toBe("method_not_allowed");
  });

  test.each([
    "/v1/models/mdl_nope",
    "/v1/models/cmp_000000000000000000000000",
    "/v1/models/mdl_000000000000000000000000",
    "/v1/compressions/..%2f..",
    "/v1/calibrations/cal_00000000000000000000000Z",
  ])("an id that does not exist is 404: %s", async (path) => {
    const response = await alice.fetch(path);
    expect(response.status).toBe(404);
    expect((await problemOf(response)).code).toBe("not_found");
  });

  test("every answer carries a request id, and problems repeat it", async () => {
    const response = await alice.fetch("/v1/nothing");
    const id = response.headers.get("x-request-id");
    expect(id).toMatch(/^req_[0-9a-z]{24}$/);
    expect((await problemOf(response)).request_id).toBe(id);
  });

  test("health, contract and pages are open to everybody", async () => {
    expect(await jsonOf(await request("/healthz"))).toEqual({ status: "ok" });
    const contract = await jsonOf<{ openapi: string; paths: Record<string, unknown> }>(
      await request("/openapi.json"),
    );
    expect(contract.openapi).toBe("3.1.0");
    expect(Object.keys(contract.paths)).toContain("/v1/compressions/{id}/artifact");
    for (const page of ["/", "/docs"]) {
      const response = await request(page);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toMatch(/^text\/html/);
    }
  });
});
