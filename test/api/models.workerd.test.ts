import { env } from "cloudflare:test";
import { zipSync } from "fflate";
import { beforeAll, describe, expect, test } from "vitest";
import type { ModelResource } from "../../schemas/resources.ts";
import { ModelResource as Model } from "../../schemas/resources.ts";
import { badModels, floats, model, node, tar, tinyExternalModel, tinyModel } from "../onnx/bytes.ts";
import { type Account, jsonOf, newAccount, newModel, objectsOf, problemOf } from "./harness.ts";

let account: Account;

beforeAll(async () => {
  account = await newAccount();
});

describe("models", () => {
  test("are uploaded, looked at and deleted", async () => {
    const own = await newAccount();
    const response = await own.upload("/v1/models?name=tiny", tinyModel);
    expect(response.status).toBe(201);
    const created = await jsonOf<ModelResource>(response);
    expect(response.headers.get("location")).toBe(`/v1/models/${created.id}`);
    expect(Model.parse(created)).toMatchObject({
      object: "model",
      name: "tiny",
      opset: 13,
      nodes: 2,
      parameters: 2,
    });
    expect(created.inputs).toEqual([{ name: "x", type: "float", shape: [2] }]);
    expect(await jsonOf(await own.fetch(`/v1/models/${created.id}`))).toEqual(created);
    const { layers: _, ...item } = created;
    expect(await jsonOf(await own.fetch("/v1/models"))).toEqual({
      object: "list",
      data: [item],
      has_more: false,
    });

    expect((await own.fetch(`/v1/models/${created.id}`, { method: "DELETE" })).status).toBe(204);
    expect((await own.fetch(`/v1/models/${created.id}`)).status).toBe(404);
    expect(await objectsOf(own)).toEqual([]);
  });

  test("of the same bytes share one object, which lives as long as one of them", async () => {
    const own = await newAccount();
    const [a, b] = [await newModel(own), await newModel(own)];
    const content = async () => (await objectsOf(own)).filter((key) => key.startsWith("sha256/"));
    expect(await content()).toHaveLength(1);
    await own.fetch(`/v1/models/${a}`, { method: "DELETE" });
    expect(await content()).toHaveLength(1);
    await own.fetch(`/v1/models/${b}`, { method: "DELETE" });
    expect(await content()).toEqual([]);
  });

  test("come as .zip or .tar with their external data, of which only what the model names is kept", async () => {
    const files = { "model.onnx": tinyExternalModel, "weights.bin": floats(1, 2), "unused.bin": floats(3) };
    for (const [type, archive] of [
      ["application/zip", zipSync(files)],
      ["application/x-tar", tar(files)],
      ["application/octet-stream", zipSync(files, { level: 0 })],
    ] as const) {
      const own = await newAccount();
      const response = await own.upload("/v1/models", archive, { "content-type": type });
      expect(await jsonOf<ModelResource>(response)).toMatchObject({ parameters: 2 });
      expect((await objectsOf(own)).filter((key) => key.startsWith("sha256/"))).toHaveLength(2);
    }
  });

  test("are listed page by page, newest first, each once", async () => {
    const own = await newAccount();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await newModel(own));
    const seen: string[] = [];
    for (let after = ""; ; ) {
      const page = await jsonOf<{ data: { id: string }[]; has_more: boolean }>(
        await own.fetch(`/v1/models?limit=2${after}`),
      );
      seen.push(...page.data.map(({ id }) => id));
      if (!page.has_more) break;
      after = `&after=${seen.at(-1)}`;
    }
    expect(seen).toEqual(ids.toSorted().toReversed());
  });

  test("keep an unknown operator", async () => {
    const bytes = model({ nodes: [node("Frobnicate", ["x"], ["y"])] });
    expect(await jsonOf(await account.upload("/v1/models", bytes))).toMatchObject({
      unknown_operators: ["Frobnicate"],
    });
  });
});

describe("a bad file is refused and leaves nothing behind", () => {
  test.each(Object.entries(badModels))("%s", async (code, bytes) => {
    const own = await newAccount();
    const response = await own.upload("/v1/models", bytes);
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: `model_${code}`, type: `urn:hone:problem:model_${code}` });
    expect(problem.status).toBe(code === "archive_too_large" ? 413 : 422);
    expect(response.status).toBe(problem.status);
    expect(problem.detail.length).toBeGreaterThan(20);
    expect(await objectsOf(own)).toEqual([]);
    expect(await jsonOf(await own.fetch("/v1/models"))).toMatchObject({ data: [] });
  });
});

describe("a bad request is refused", () => {
  test.each([
    "text/plain",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
  ])("415 for %s", async (type) => {
    const response = await account.upload("/v1/models", tinyModel, { "content-type": type });
    expect(response.status).toBe(415);
    const problem = await problemOf(response);
    expect(problem.code).toBe("unsupported_media_type");
    expect(problem.detail).toContain("application/octet-stream");
  });

  test("413 for more than a body may have, with or without a declared length", async () => {
    const own = await newAccount();
    const declared = await own.upload("/v1/models", new Uint8Array(20_000_001));
    expect(declared.status).toBe(413);
    expect((await problemOf(declared)).detail).toContain("/v1/uploads");
    let left = 21;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(1_000_000));
        else controller.close();
      },
    });
    const chunked = await own.upload("/v1/models", stream);
    expect(chunked.status).toBe(413);
    expect(await objectsOf(own)).toEqual([]);
  });

  test.each(["/v1/models?limit=0", "/v1/models?limit=101", "/v1/models?limit=x", "/v1/models?page=2"])(
    "400 for %s",
    async (path) => {
      const response = await account.fetch(path);
      expect(response.status).toBe(400);
      const problem = await problemOf(response);
      expect(problem.code).toBe("invalid_query");
      expect(problem.errors?.[0]?.pointer).toMatch(/^\/(limit|page)$/);
    },
  );

  test("409 for deleting a model that a job is working on", async () => {
    const own = await newAccount();
    const id = await newModel(own);
    await env.DB.prepare(
      "INSERT INTO compressions (id, account_id, model_id, recipe, plan_options, metadata, status, created_at) VALUES ('cmp_000000000000000000000001', ?, ?, '{}', '{}', '{}', 'running', 0)",
    )
      .bind(own.id, id)
      .run();
    const response = await own.fetch(`/v1/models/${id}`, { method: "DELETE" });
    expect(response.status).toBe(409);
    expect((await problemOf(response)).detail).toContain("cmp_000000000000000000000001");
    await env.DB.prepare("DELETE FROM compressions WHERE id = 'cmp_000000000000000000000001'").run();
  });
});
