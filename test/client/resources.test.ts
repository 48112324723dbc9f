import { readdirSync, readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { ConnectionError, NotFoundError, TimeoutError } from "../../src/client/errors.ts";
import { Hone } from "../../src/client/hone.ts";
import { WebhookSignatureError, webhooks } from "../../src/client/webhooks.ts";
import { type Answer, client, json, NOW, problem, type Seen } from "./fake-server.ts";

const FAST = { interval: { first: 1, longest: 2 } };

function job(status: string, progress: number, step: string | null = null) {
  return json({ id: "cmp_1", object: "compression", status, progress, step });
}

describe("lists", () => {
  const page = (ids: string[], has_more: boolean) =>
    json({ object: "list", data: ids.map((id) => ({ id })), has_more });

  test("for await goes over every page", async () => {
    const { hone, seen } = client([page(["a", "b"], true), page(["c"], false)]);
    const ids: string[] = [];
    for await (const { id } of hone.models.list({ limit: 2 })) ids.push(id);
    expect(ids).toEqual(["a", "b", "c"]);
    expect(seen.map(({ path }) => path)).toEqual(["/v1/models?limit=2", "/v1/models?limit=2&after=b"]);
  });

  test("await gives the first page", async () => {
    const { hone, seen } = client([page(["a"], true)]);
    expect(await hone.compressions.list()).toMatchObject({ data: [{ id: "a" }], has_more: true });
    expect(seen).toHaveLength(1);
  });

  test.each([
    ["an empty page that says there is more", [page([], true)]],
    ["the same page again and again", [page(["a"], true)]],
  ])("%s ends the iteration", async (_, pages) => {
    const { hone, seen } = client(pages);
    for await (const _item of hone.models.list()) expect(seen.length).toBeLessThan(3);
    expect(seen.length).toBeLessThan(3);
  });
});

describe("uploads of more than maxBodyBytes go in parts", () => {
  const BYTES = 1001;
  const PART = 400;
  const LIMIT = { maxBodyBytes: 1000 };
  const upload = json({ id: "upl_1", object: "upload", part_bytes: PART, parts: 3, bytes: BYTES });
  const server = (put: () => Response) => (seen: Seen) => {
    if (seen.method === "PUT") return put();
    if (seen.method === "DELETE") return new Response(null, { status: 204 });
    return seen.path.endsWith("/complete") ? json({ id: "mdl_1" }) : upload.clone();
  };

  test.each([
    ["bytes", () => new Uint8Array(BYTES)],
    ["a blob", () => new Blob([new Uint8Array(BYTES)])],
  ])("%s", async (_, file) => {
    const { hone, seen } = client([server(() => new Response(null, { status: 204 }))], LIMIT);
    expect(await hone.models.upload(file(), { name: "big" })).toEqual({ id: "mdl_1" });
    expect(JSON.parse(seen[0]!.body)).toEqual({ bytes: BYTES, name: "big" });
    const parts = seen.filter(({ method }) => method === "PUT");
    const sizes = Object.fromEntries(parts.map(({ path, body }) => [path.split("/").at(-1), body.length]));
    expect(sizes).toEqual({ 1: PART, 2: PART, 3: BYTES - 2 * PART });
    expect(seen.at(-1)!.path).toBe("/v1/uploads/upl_1/complete");
  });

  test("a part that breaks is sent again; the others are not", async () => {
    let broken = 0;
    const put = () => (broken++ === 0 ? problem(503, "later", {}, NOW) : new Response(null, { status: 204 }));
    const { hone, seen } = client([server(put)], LIMIT);
    await hone.models.upload(new Uint8Array(BYTES));
    expect(seen.filter(({ method }) => method === "PUT")).toHaveLength(4);
  });

  test("a part that is refused gives the upload up, with its error", async () => {
    const { hone, seen } = client([server(() => problem(409, "completed"))], LIMIT);
    await expect(hone.models.upload(new Uint8Array(BYTES))).rejects.toThrow("completed");
    expect(seen.at(-1)).toMatchObject({ method: "DELETE", path: "/v1/uploads/upl_1" });
  });
});

describe("wait", () => {
  test("shows every new state and answers with the last", async () => {
    const states = [
      job("queued", 0),
      job("running", 0.5, "compress"),
      job("running", 0.5, "compress"),
      job("succeeded", 1),
    ];
    const { hone, seen } = client(states);
    const shown: string[] = [];
    const done = await hone.compressions.wait("cmp_1", {
      ...FAST,
      onProgress: ({ status, progress }) => shown.push(`${status} ${progress}`),
    });
    expect(done.status).toBe("succeeded");
    expect(shown).toEqual(["queued 0", "running 0.5", "succeeded 1"]);
    expect(seen).toHaveLength(4);
  });

  test.each(["failed", "canceled"])("a job that has %s ends it without an error", async (status) => {
    const { hone } = client([job(status, 0.3)]);
    expect((await hone.compressions.wait("cmp_1")).status).toBe(status);
  });

  test("outlives an outage of the server", async () => {
    const down = problem(503, "down", {}, NOW);
    const { hone } = client([job("running", 0.1), down, down, job("succeeded", 1)], { maxRetries: 0 });
    expect((await hone.compressions.wait("cmp_1", FAST)).status).toBe("succeeded");
  });

  test("gives up when the server stays away", async () => {
    const { hone, seen } = client([job("running", 0.1), new TypeError("fetch failed")], { maxRetries: 0 });
    await expect(hone.compressions.wait("cmp_1", FAST)).rejects.toBeInstanceOf(ConnectionError);
    expect(seen).toHaveLength(4);
  });

  test("an unknown job is an error at once", async () => {
    const { hone, seen } = client([problem(404, "no such compression")]);
    await expect(hone.compressions.wait("cmp_1", FAST)).rejects.toBeInstanceOf(NotFoundError);
    expect(seen).toHaveLength(1);
  });

  test("has a deadline", async () => {
    const { hone } = client([job("running", 0.1)]);
    await expect(hone.compressions.wait("cmp_1", { ...FAST, timeout: 10 })).rejects.toBeInstanceOf(
      TimeoutError,
    );
  });

  test("stops at the caller's signal", async () => {
    const abort = new AbortController();
    const answers: Answer[] = [job("running", 0.1)];
    const { hone } = client(answers);
    const waiting = hone.compressions.wait("cmp_1", {
      interval: { first: 60_000, longest: 60_000 },
      signal: abort.signal,
      onProgress: () => abort.abort(new Error("enough")),
    });
    await expect(waiting).rejects.toThrow("enough");
  });
});

describe("results", () => {
  test("the artifact comes as bytes with its ETag", async () => {
    const { hone, seen } = client([
      new Response(new Uint8Array([8, 1]), { headers: { etag: '"abc"', "content-length": "2" } }),
    ]);
    const artifact = await hone.compressions.artifact("cmp_1");
    expect(artifact).toMatchObject({ bytes: 2, etag: '"abc"' });
    expect(await artifact.toBytes()).toEqual(new Uint8Array([8, 1]));
    expect(seen[0]!.path).toBe("/v1/compressions/cmp_1/artifact");
  });

  test("the artifact comes as a stream", async () => {
    const { hone } = client([new Response(new Uint8Array([8, 1]))]);
    const artifact = await hone.compressions.artifact("cmp_1");
    expect(await new Response(artifact.stream()).bytes()).toEqual(new Uint8Array([8, 1]));
  });

  test("report and plan are asked for as JSON, the page as HTML", async () => {
    const { hone, seen } = client([({ headers }) => json({ accepted: headers.get("accept") })]);
    expect(await hone.compressions.report("cmp_1")).toEqual({ accepted: "application/json" });
    expect(await hone.compressions.plan("cmp_1")).toEqual({ accepted: "application/json" });
    expect(await hone.compressions.reportHtml("cmp_1")).toContain("text/html");
    expect(seen.map(({ path }) => path.split("/").at(-1))).toEqual(["report", "plan", "report"]);
  });
});

describe("webhooks.verify", () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const payload = JSON.stringify({
    type: "compression.succeeded",
    timestamp: "2026-01-01T00:00:00Z",
    data: {},
  });

  function headers(at: Date, body = payload, key = secret): Record<string, string> {
    return {
      "Webhook-Id": "evt_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(key).sign("evt_1", at, body),
    };
  }

  test("answers with the event, from text, bytes, plain headers or Headers", () => {
    const signed = headers(new Date());
    const event = JSON.parse(payload);
    expect(webhooks.verify(payload, signed, secret)).toEqual(event);
    expect(webhooks.verify(new TextEncoder().encode(payload), new Headers(signed), secret)).toEqual(event);
  });

  test("takes either of two signatures while a secret is rotated", () => {
    const signed = headers(new Date());
    const rotated = { ...signed, "webhook-signature": `v1,AAAA ${signed["webhook-signature"]}` };
    expect(webhooks.verify(payload, rotated, secret)).toEqual(JSON.parse(payload));
  });

  test("accepts the published vector of Standard Webhooks' signature scheme", () => {
    const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const at = new Date(1614265330 * 1000);
    const signature = new Webhook(key).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}');
    expect(signature).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  const hour = 3_600_000;
  test.each([
    ["altered", () => webhooks.verify(`${payload} `, headers(new Date()), secret)],
    ["stale", () => webhooks.verify(payload, headers(new Date(Date.now() - hour)), secret)],
    ["from the future", () => webhooks.verify(payload, headers(new Date(Date.now() + hour)), secret)],
    ["without a signature", () => webhooks.verify(payload, {}, secret)],
    [
      "signed by another",
      () => webhooks.verify(payload, headers(new Date(), payload, `whsec_${btoa("x".repeat(24))}`), secret),
    ],
    ["checked with a malformed secret", () => webhooks.verify(payload, headers(new Date()), "whsec_%%%")],
  ])("refuses a message that is %s", (_, verify) => {
    expect(verify).toThrow(WebhookSignatureError);
  });
});

test("the client imports nothing of Node and nothing at run time but standardwebhooks", () => {
  const folder = new URL("../../src/client/", import.meta.url).pathname;
  const files = readdirSync(folder);
  expect(files).toContain("hone.ts");
  for (const file of files) {
    const source = readFileSync(folder + file, "utf8");
    const imports = [...source.matchAll(/^(import type|import|export) [^;]*?from "([^"]+)";/gms)];
    for (const [, kind, from] of imports) {
      if (kind !== "import type") expect(from).toMatch(/^(\.\/[a-z-]+\.ts|standardwebhooks)$/);
    }
    expect(source).not.toMatch(/import\(|require\(|\bprocess\.|\bBuffer\b/);
  }
  expect(new Hone({ apiKey: "k" })).toBeInstanceOf(Hone);
});
