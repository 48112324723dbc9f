import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { ModelResource, UploadResource } from "../../schemas/resources.ts";
import { badModels, bytes, int, message, model, node, tensor, tinyModel } from "../onnx/bytes.ts";
import { type Account, jsonOf, newAccount, objectsOf, problemOf } from "./harness.ts";

/** y = x + w with w of 9 MiB: two parts. */
const count = 2_359_296;
const large = model({
  nodes: [node("Relu", ["x"], ["y"])],
  initializers: [bytes(tensor("w", [count], 1, message(9, new Uint8Array(4 * count))), int(2, 1))],
});

async function send(account: Account, upload: UploadResource, file: Uint8Array, order: number[]) {
  for (const number of order) {
    const part = file.subarray((number - 1) * upload.part_bytes, number * upload.part_bytes);
    const path = `/v1/uploads/${upload.id}/parts/${number}`;
    const response = await account.fetch(path, { method: "PUT", body: part });
    expect([number, response.status]).toEqual([number, 204]);
  }
}

const sha256 = (file: Uint8Array) => createHash("sha256").update(file).digest("hex");

const begin = async (account: Account, request: object) =>
  jsonOf<UploadResource>(await account.post("/v1/uploads", request));

const complete = (account: Account, { id }: UploadResource) =>
  account.fetch(`/v1/uploads/${id}/complete`, { method: "POST" });

describe("uploads in parts", () => {
  test("make the same model as one body, in any order of parts, and completing twice is once", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: large.byteLength, name: "large", sha256: sha256(large) });
    expect(upload).toMatchObject({ parts: 2, received: [], model: null, name: "large" });
    await send(account, upload, large, [2]);
    const early = await complete(account, upload);
    expect([early.status, (await problemOf(early)).code]).toEqual([409, "conflict"]);
    await send(account, upload, large, [1, 2]);
    expect(await jsonOf(await account.fetch(`/v1/uploads/${upload.id}`))).toMatchObject({ received: [1, 2] });

    const created = await jsonOf<ModelResource>(await complete(account, upload));
    expect(created).toMatchObject({ name: "large", sha256: sha256(large), bytes: large.byteLength });
    expect(await jsonOf(await complete(account, upload))).toEqual(created);
    expect((await objectsOf(account)).toSorted()).toEqual([
      `models/${created.id}/layers.json`,
      `sha256/${sha256(large)}`,
    ]);
  });

  test("refuse parts of a wrong size or number", async () => {
    const account = await newAccount();
    const upload = await begin(account, { bytes: tinyModel.byteLength });
    const put = (number: number | string, body: Uint8Array) =>
      account.fetch(`/v1/uploads/${upload.id}/parts/${number}`, { method: "PUT", body });
    expect((await put(1, tinyModel.subarray(1))).status).toBe(422);
    expect((await put(1, bytes(tinyModel, [0]))).status).toBe(413);
    expect((await put(2, tinyModel)).status).toBe(404);
    expect((await put("x", tinyModel)).status).toBe(404);
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
  ])("refuse %o", async (request) => {
    const response = await (await newAccount()).post("/v1/uploads", request);
    expect([response.status, (await problemOf(response)).code]).toEqual([422, "invalid_request"]);
  });
});
