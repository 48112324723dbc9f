import { describe, expect, test } from "vitest";
import { CalibrationResource } from "../../schemas/resources.ts";
import { bytesOf, npy, npz, safetensors } from "../evaluate/files.ts";
import { jsonOf, newAccount, newJob, newModel, objectsOf, problemOf } from "./harness.ts";

const samples = Float32Array.of(1, 2, 3, 4);
const array = npy("<f4", [2, 2], samples);
const header = { x: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] } };

describe("calibrations", () => {
  test.each([
    ["npz", npz({ x: array }), "x"],
    ["npy", array, "array"],
    ["safetensors", safetensors(header, bytesOf(samples)), "x"],
  ])("are uploaded as .%s, looked at and deleted", async (format, file, name) => {
    const account = await newAccount();
    const response = await account.upload("/v1/calibrations?name=mine", file);
    expect(response.status).toBe(201);
    const created = CalibrationResource.parse(await jsonOf(response));
    expect(created).toMatchObject({
      name: "mine",
      format,
      bytes: file.byteLength,
      arrays: [{ name, type: "float", shape: [2, 2] }],
    });
    expect(response.headers.get("location")).toBe(`/v1/calibrations/${created.id}`);
    expect(await jsonOf(await account.fetch(`/v1/calibrations/${created.id}`))).toEqual(created);
    expect(await jsonOf(await account.fetch("/v1/calibrations"))).toMatchObject({ data: [created] });
    expect((await account.fetch(`/v1/calibrations/${created.id}`, { method: "DELETE" })).status).toBe(204);
    expect(await objectsOf(account)).toEqual([]);
  });

  test.each([
    ["nothing", new Uint8Array(0), "samples_not_safetensors"],
    [
      "random bytes",
      Uint8Array.from({ length: 200 }, (_, i) => (i * 151 + 7) & 255),
      "samples_not_safetensors",
    ],
    ["a cut .npy", array.subarray(0, 9), "samples_not_npy"],
    ["an .npy with too few bytes", array.subarray(0, array.length - 1), "samples_array_size"],
    ["a cut .npz", npz({ x: array }).subarray(0, 30), "samples_not_npz"],
    ["ranges past the end", safetensors(header, new Uint8Array(8)), "samples_safetensors_header"],
  ])("refuse %s and keep nothing of it", async (_, file, code) => {
    const account = await newAccount();
    const response = await account.upload("/v1/calibrations", file);
    expect([response.status, (await problemOf(response)).code]).toEqual([422, code]);
    expect(await objectsOf(account)).toEqual([]);
  });

  test("415 for another content type", async () => {
    const account = await newAccount();
    const response = await account.upload("/v1/calibrations", array, { "content-type": "text/csv" });
    expect([response.status, (await problemOf(response)).code]).toEqual([415, "unsupported_media_type"]);
  });

  test("of another account cannot be used", async () => {
    const [alice, bob] = [await newAccount(), await newAccount()];
    const { id } = await jsonOf<{ id: string }>(await alice.upload("/v1/calibrations", array));
    expect((await bob.fetch(`/v1/calibrations/${id}`)).status).toBe(404);
    const request = { model: await newModel(bob), calibration: id };
    await expect(newJob(bob, request)).rejects.toThrow('"pointer":"/calibration"');
  });
});
