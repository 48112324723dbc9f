import { env } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import type { ModelResource, UploadResource } from "../../schemas/resources.ts";
import { sweep } from "../../src/jobs/sweep.ts";
import { newId } from "../../src/store/ids.ts";
import { fileKey, partKey } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";
import { externalModel, tar } from "../onnx/bytes.ts";
import { type Account, jsonOf, newAccount, objectsOf, problemOf } from "./harness.ts";
import { begin, complete, sendAll, sha256Of } from "./upload-session.ts";

/** Files from 64 MiB on stay where they arrived. */
const WEIGHT_BYTES = 65 * 2 ** 20;
const HOUR = 3_600_000;
const MIX = [{ accelerator: "tpu-v3", count: 2 }];
const store = new Store(env);

const graph = externalModel("weights.bin", WEIGHT_BYTES);
const archive = tar({
  "model.onnx": graph,
  "notes.txt": new Uint8Array(5000),
  "weights.bin": new Uint8Array(WEIGHT_BYTES).fill(1),
});

let account: Account;
let upload: UploadResource;
let model: ModelResource;

beforeAll(async () => {
  account = await newAccount();
  upload = await begin(account, { bytes: archive.byteLength, sha256: sha256Of(archive) });
  await sendAll(account, upload, archive);
  model = await jsonOf<ModelResource>(await complete(account, upload));
}, 60_000);

/** The objects of the archive, which are its parts and the one that joins them. */
function objectsOfArchive(): string[] {
  const file = `files/${upload.id}-0`;
  return [file, ...Array.from({ length: upload.parts }, (_, i) => partKey(file, i + 1))].toSorted();
}

async function objectsOfFiles(): Promise<string[]> {
  return (await objectsOf(account)).filter((key) => !key.startsWith("models/")).toSorted();
}

test("the files of a large tar stay in it: nothing is copied", async () => {
  expect(model.sha256).toBe(sha256Of(graph));
  expect(await objectsOfFiles()).toEqual(objectsOfArchive());
  const plan = await account.post("/v1/plans", { model: model.id, mix: MIX });
  expect(plan.status).toBe(200);
});

test("one that is not what was announced is refused and leaves nothing", async () => {
  const other = await newAccount();
  const wrong = await begin(other, { bytes: archive.byteLength, sha256: "0".repeat(64) });
  await sendAll(other, wrong, archive);
  const response = await complete(other, wrong);
  expect([response.status, (await problemOf(response)).code]).toEqual([422, "checksum_mismatch"]);
  expect(await objectsOf(other)).toEqual([]);
});

test("it stays as long as any model names it, whatever the sweep finds, and goes with the last one", async () => {
  const row = (await store.models.get(account.id, model.id))!;
  const twin = newId("mdl", Date.now());
  await store.models.insert({ ...row, id: twin }, await store.models.files(model.id), null);
  await store.objects.putBytes(partKey(fileKey(account.id, "upl_unknown-0"), 1), "an orphan, which is swept");
  // The sweep looks at a page a run; the upload itself has expired by then.
  for (let run = 0; run < 3; run++) await sweep(store, env, Date.now() + 25 * HOUR);
  expect(await objectsOfFiles()).toEqual(objectsOfArchive());
  expect((await account.fetch(`/v1/models/${model.id}`, { method: "DELETE" })).status).toBe(204);
  expect(await objectsOfFiles()).toEqual(objectsOfArchive());
  expect((await account.post("/v1/plans", { model: twin, mix: MIX })).status).toBe(200);
  expect((await account.fetch(`/v1/models/${twin}`, { method: "DELETE" })).status).toBe(204);
  expect(await objectsOf(account)).toEqual([]);
});
