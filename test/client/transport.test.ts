import { describe, expect, test } from "vitest";
import * as errors from "../../src/client/errors.ts";
import { client, json, NOW, problem } from "./fake-server.ts";

const MODEL = { id: "mdl_1", object: "model" };

describe("requests", () => {
  test("carry the key, the path and the query", async () => {
    const { hone, seen } = client([json(MODEL)]);
    await hone.models.upload(new Uint8Array([1, 2, 3]), { name: "a b.onnx" });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ method: "POST", path: "/v1/models?name=a+b.onnx", body: "\x01\x02\x03" });
    expect(seen[0]!.headers.get("authorization")).toBe("Bearer hone_sk_test");
    expect(seen[0]!.headers.get("content-type")).toBe("application/octet-stream");
  });

  test("take blobs and streams", async () => {
    const { hone, seen } = client([json(MODEL)]);
    await hone.models.upload(new Blob(["blob"]));
    await hone.models.upload(new Blob(["stream"]).stream());
    expect(seen.map(({ body }) => body)).toEqual(["blob", "stream"]);
  });

  test("keep an id with odd characters inside its path segment", async () => {
    const { hone, seen } = client([json(MODEL)]);
    await hone.models.get("../accelerators?x");
    expect(seen[0]!.path).toBe("/v1/models/..%2Faccelerators%3Fx");
  });

  test("need a key", () => {
    expect(() => client([], { apiKey: "" })).toThrow(errors.HoneError);
  });
});

describe("retries", () => {
  test.each([408, 429, 500, 502, 503, 504])(
    "%d is tried again with the same idempotency key",
    async (status) => {
      const { hone, seen } = client([problem(status, "later", {}, NOW), json(MODEL)]);
      await expect(hone.compressions.create({ model: "mdl_1" })).resolves.toEqual(MODEL);
      const keys = seen.map(({ headers }) => headers.get("idempotency-key"));
      expect(keys).toHaveLength(2);
      expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
      expect(keys[1]).toBe(keys[0]);
      expect(seen[1]!.body).toBe(seen[0]!.body);
    },
  );

  test("a broken connection is tried again", async () => {
    const { hone, seen } = client([new TypeError("fetch failed"), json(MODEL)]);
    await expect(hone.models.get("mdl_1")).resolves.toEqual(MODEL);
    expect(seen).toHaveLength(2);
  });

  test("the caller's idempotency key is sent as it is", async () => {
    const { hone, seen } = client([json(MODEL)]);
    await hone.compressions.create({ model: "mdl_1" }, { idempotencyKey: "mine" });
    expect(seen[0]!.headers.get("idempotency-key")).toBe("mine");
  });

  test("two calls have two keys", async () => {
    const { hone, seen } = client([json(MODEL)]);
    await hone.compressions.create({ model: "mdl_1" });
    await hone.compressions.create({ model: "mdl_1" });
    const [first, second] = seen.map(({ headers }) => headers.get("idempotency-key"));
    expect(first).not.toBe(second);
  });

  test("a stream, consumed by its first attempt, is not tried again", async () => {
    const { hone, seen } = client([problem(503, "later", {}, NOW), json(MODEL)]);
    await expect(hone.models.upload(new Blob(["x"]).stream())).rejects.toBeInstanceOf(errors.ServerError);
    expect(seen).toHaveLength(1);
  });

  test.each([400, 401, 404, 409, 415, 422])("%d is not tried again", async (status) => {
    const { hone, seen } = client([problem(status, "no"), json(MODEL)]);
    await expect(hone.models.get("mdl_1")).rejects.toBeInstanceOf(errors.ApiError);
    expect(seen).toHaveLength(1);
  });

  test("end after maxRetries further attempts", async () => {
    const { hone, seen } = client([problem(503, "later", {}, NOW)], { maxRetries: 2 });
    await expect(hone.models.get("mdl_1")).rejects.toBeInstanceOf(errors.ServerError);
    expect(seen).toHaveLength(3);
  });
});

describe("errors", () => {
  test.each([
    [400, errors.ValidationError],
    [401, errors.AuthenticationError],
    [403, errors.AuthenticationError],
    [404, errors.NotFoundError],
    [409, errors.ConflictError],
    [413, errors.ValidationError],
    [415, errors.ValidationError],
    [422, errors.ValidationError],
    [429, errors.RateLimitError],
    [500, errors.ServerError],
    [503, errors.ServerError],
  ])("%d has its class, the problem and the request's id", async (status, Class) => {
    const answer = problem(status, "what is wrong", {}, { ...NOW, "x-request-id": "req_7" });
    const { hone } = client([answer], { maxRetries: 0 });
    const error = await hone.models.get("mdl_1").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Class);
    expect(error).toMatchObject({ name: Class.name, status, requestId: "req_7", message: "what is wrong" });
    expect(error).toMatchObject({ problem: { status, title: "problem" } });
  });

  test("the fields that are wrong stand in the message", async () => {
    const { hone } = client([
      problem(422, "the request is wrong", { errors: [{ pointer: "/mix/0/count", detail: "too small" }] }),
    ]);
    await expect(hone.plans.create({ model: "mdl_1", mix: [] })).rejects.toThrow(
      "the request is wrong (/mix/0/count: too small)",
    );
  });

  test("an answer that is no problem document still has its class", async () => {
    const { hone } = client([new Response("<html>bad gateway</html>", { status: 502 })], { maxRetries: 0 });
    const error = await hone.models.get("mdl_1").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errors.ServerError);
    expect(error).toMatchObject({ problem: null, message: "the server answered 502" });
  });

  test("a page where JSON was due is a protocol error that names the server", async () => {
    const { hone } = client([new Response("<html>", { status: 200 })]);
    const error = await hone.models.get("mdl_1").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errors.ProtocolError);
    expect(String(error)).toContain("http://hone.test");
  });

  test("no connection says why", async () => {
    const refused = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED 127.0.0.1:1") });
    const { hone } = client([refused], { maxRetries: 0 });
    const error = await hone.models.get("mdl_1").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errors.ConnectionError);
    expect(error).toMatchObject({
      message: "cannot reach http://hone.test: connect ECONNREFUSED 127.0.0.1:1",
      cause: refused,
    });
  });

  test("silence ends with a timeout", async () => {
    const { hone } = client(["never"], { maxRetries: 0, timeout: 5 });
    await expect(hone.models.get("mdl_1")).rejects.toBeInstanceOf(errors.TimeoutError);
  });

  test("the caller's abort gives the caller's reason", async () => {
    const { hone, seen } = client(["never"]);
    const abort = new AbortController();
    const asked = hone.models.get("mdl_1", { signal: abort.signal });
    const reason = new Error("no longer wanted");
    abort.abort(reason);
    await expect(asked).rejects.toBe(reason);
    expect(seen).toHaveLength(1);
  });
});
