import { env } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { ModelResource } from "../../schemas/resources.ts";
import { createApp } from "../../src/api/app.ts";
import { sweep } from "../../src/jobs/sweep.ts";
import { fileKey, fileOf, partKey } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";
import {
  badModels,
  bytes,
  externalModel,
  int,
  message,
  model,
  node,
  tensor,
  tinyModel,
} from "../onnx/bytes.ts";
import { type Account, jsonOf, newAccount, objectsOf, problemOf } from "./harness.ts";
import { begin, complete, send, sendPart, sha256Of } from "./upload-session.ts";

const HOUR = 3_600_000;
const store = new Store(env);

/** A model with a weight of 33 MiB: two parts. */
const count = 8_650_752;
const large = model({
  nodes: [node("Relu", ["x"], ["y"])],
  initializers: [bytes(tensor("w", [count], 1, message(9, new Uint8Array(4 * count))), int(2, 1))],
});

/** What an account has, by the files that its objects are or are parts of. */
async function filesOf(account: Account): Promise<string[]> {
  return [...new Set((await objectsOf(account)).map(fileOf))].toSorted();
}

describe("uploads in parts", () => {
  test("make the same model as one body, in any order of parts, and completing twice is once", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: large.byteLength, name: "large", sha256: sha256Of(large) });
    expect(upload).toMatchObject({ parts: 2, received: [], model: null, name: "large" });
    await send(account, upload, large, [2]);
    const early = await complete(account, upload);
    expect([early.status, (await problemOf(early)).code]).toEqual([409, "conflict"]);
    // Sent again, a part takes the place of what was there.
    const other = new Uint8Array(upload.part_bytes).fill(7);
    expect((await sendPart(account, upload, 1, other)).status).toBe(204);
    await send(account, upload, large, [1, 2]);
    expect(await jsonOf(await account.fetch(`/v1/uploads/${upload.id}`))).toMatchObject({ received: [1, 2] });

    const created = await jsonOf<ModelResource>(await complete(account, upload));
    expect(created).toMatchObject({ name: "large", sha256: sha256Of(large), bytes: large.byteLength });
    expect(await jsonOf(await complete(account, upload))).toEqual(created);
    expect((await sendPart(account, upload, 1, other)).status).toBe(409);
    expect(await filesOf(account)).toEqual([`models/${created.id}/layers.json`, `sha256/${sha256Of(large)}`]);
  });

  test("of a model and the files beside it make one model, each file beginning a part of its own", async () => {
    const account = await newAccount();
    // 33 MiB beside a small model, and a file that it does not name.
    const weights = new Uint8Array(33 * 2 ** 20).map((_, i) => i % 251);
    const files = [
      { path: "net/data/weights.bin", content: weights },
      { path: "net/model.onnx", content: externalModel("data/weights.bin", weights.byteLength) },
      { path: "net/notes.txt", content: new TextEncoder().encode("no weights") },
    ];
    const upload = await begin(account, {
      name: "beside",
      files: files.map(({ path, content }) => ({
        path,
        bytes: content.byteLength,
        sha256: sha256Of(content),
      })),
    });
    expect(upload).toMatchObject({ parts: 4, received: [] });
    expect(upload.files).toMatchObject([
      { path: "net/data/weights.bin", first_part: 1, parts: 2 },
      { path: "net/model.onnx", first_part: 3, parts: 1 },
      { path: "net/notes.txt", first_part: 4, parts: 1 },
    ]);
    const part = upload.part_bytes;
    const parts = [weights.subarray(0, part), weights.subarray(part), files[1]!.content, files[2]!.content];
    for (const [i, body] of parts.entries()) {
      const path = `/v1/uploads/${upload.id}/parts/${i + 1}`;
      expect((await account.fetch(path, { method: "PUT", body })).status).toBe(204);
    }
    const created = await jsonOf<ModelResource>(await complete(account, upload));
    expect(created).toMatchObject({ name: "beside", sha256: sha256Of(files[1]!.content) });
    expect(created.layers).toHaveLength(1);
    expect(await filesOf(account)).toEqual(
      [
        `models/${created.id}/layers.json`,
        ...files.slice(0, 2).map(({ content }) => `sha256/${sha256Of(content)}`),
      ].toSorted(),
    );
    expect((await account.fetch(`/v1/models/${created.id}`, { method: "DELETE" })).status).toBe(204);
    expect(await objectsOf(account)).toEqual([]);
  });

  test("of several files are refused where one is not what was announced, or the model is not there", async () => {
    const account = await newAccount();
    const weights = new Uint8Array(4096);
    const model = externalModel("weights.bin", weights.byteLength);
    for (const [files, code] of [
      [{ "model.onnx": model }, "model_external_data_missing"],
      [{ "weights.bin": weights }, "model_archive_without_model"],
      [{ "../model.onnx": model }, "model_archive_entry_name"],
      [{ "model.onnx": model, "weights.bin": weights, wrong: "weights.bin" }, "checksum_mismatch"],
    ] as const) {
      const { wrong, ...contents } = files as Record<string, Uint8Array> & { wrong?: string };
      const upload = await begin(account, {
        files: Object.entries(contents).map(([path, content]) => ({
          path,
          bytes: content.byteLength,
          ...(path === wrong && { sha256: "0".repeat(64) }),
        })),
      });
      for (const [i, body] of Object.values(contents).entries()) {
        await account.fetch(`/v1/uploads/${upload.id}/parts/${i + 1}`, { method: "PUT", body });
      }
      const response = await complete(account, upload);
      expect([response.status, (await problemOf(response)).code]).toEqual([422, code]);
      expect(await objectsOf(account)).toEqual([]);
    }
    const twice = [
      { path: "a", bytes: 1 },
      { path: "a", bytes: 1 },
    ];
    expect((await account.post("/v1/uploads", { files: twice })).status).toBe(422);
  });

  test("refuse parts of a wrong size or number", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: tinyModel.byteLength });
    for (const [number, body, status] of [
      [1, tinyModel.subarray(1), 422],
      [1, bytes(tinyModel, [0]), 413],
      [2, tinyModel, 404],
      ["x", tinyModel, 404],
    ] as const) {
      const announced = { "content-length": String(body.byteLength) };
      expect((await sendPart(account, upload, number, body)).status).toBe(status);
      expect((await sendPart(account, upload, number, body, announced)).status).toBe(status);
    }
    expect(await objectsOf(account)).toEqual([]);
  });

  test("of bytes that are not those announced, or of no model, leave nothing behind", async () => {
    const account = await newAccount();
    for (const [file, request, code] of [
      [tinyModel, { sha256: "0".repeat(64) }, "checksum_mismatch"],
      [badModels.truncated, {}, "model_truncated"],
    ] as const) {
      const upload = await begin(account, { bytes: file.byteLength, ...request });
      await send(account, upload, file, [1]);
      const response = await complete(account, upload);
      expect([response.status, (await problemOf(response)).code]).toEqual([422, code]);
      expect((await account.fetch(`/v1/uploads/${upload.id}`)).status).toBe(404);
      expect(await objectsOf(account)).toEqual([]);
    }
  });

  test("that are abandoned are swept with their parts after a day, and so are parts that nobody knows", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: large.byteLength });
    await send(account, upload, large, [2]);
    const unknown = partKey(fileKey(account.id, "upl_unknown-0"), 1);
    await store.objects.putBytes(unknown, "orphan");
    await sweep(store, env, Date.now() + 23 * HOUR);
    expect((await objectsOf(account)).toSorted()).toEqual([
      `files/${upload.id}-0/parts/2`,
      "files/upl_unknown-0/parts/1",
    ]);
    await sweep(store, env, Date.now() + 25 * HOUR);
    expect(await objectsOf(account)).toEqual([]);
    expect((await complete(account, upload)).status).toBe(404);
  });

  test("can be completed once more where that failed on our side", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: large.byteLength });
    await send(account, upload, large, [1, 2]);
    // Everything but the rows is written then.
    const database = new Proxy(env.DB, {
      get(target, name) {
        if (name === "batch") return () => Promise.reject(new Error("D1 is out of reach"));
        const method: unknown = Reflect.get(target, name);
        return typeof method === "function" ? method.bind(target) : method;
      },
    });
    const request = new Request(`https://hone.test/v1/uploads/${upload.id}/complete`, {
      method: "POST",
      headers: { authorization: `Bearer ${account.key}` },
    });
    expect((await createApp().fetch(request, { ...env, DB: database })).status).toBe(500);
    expect(await objectsOf(account)).toContain(`files/${upload.id}-0`);
    const created = await jsonOf<ModelResource>(await complete(account, upload));
    expect(created).toMatchObject({ sha256: sha256Of(large) });
    expect((await account.fetch(`/v1/models/${created.id}`, { method: "DELETE" })).status).toBe(204);
    await sweep(store, env, Date.now() + 25 * HOUR);
    expect(await objectsOf(account)).toEqual([]);
  });

  test("can be given up", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: tinyModel.byteLength });
    await send(account, upload, tinyModel, [1]);
    expect((await account.fetch(`/v1/uploads/${upload.id}`, { method: "DELETE" })).status).toBe(204);
    expect((await complete(account, upload)).status).toBe(404);
    expect(await objectsOf(account)).toEqual([]);
  });

  test.each([
    [{}],
    [{ bytes: 0 }],
    [{ bytes: 1.5 }],
    [{ bytes: 2 ** 41 }],
    [{ bytes: 1, sha256: "x" }],
    [{ bytes: 1, x: 1 }],
    [{ files: [] }],
    [{ files: [{ path: "", bytes: 1 }] }],
    [{ bytes: 1, files: [{ path: "a", bytes: 1 }] }],
  ])("refuse %o", async (request) => {
    const response = await (await newAccount()).post("/v1/uploads", request);
    expect([response.status, (await problemOf(response)).code]).toEqual([422, "invalid_request"]);
  });
});
