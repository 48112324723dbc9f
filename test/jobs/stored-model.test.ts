import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LocalBlobs } from "../../src/cli/local-blobs.ts";
import type { StoredModel } from "../../src/jobs/job.ts";
import { putBytes } from "../../src/jobs/put-bytes.ts";
import { readStored, storeModel } from "../../src/jobs/stored-model.ts";
import { openArchive } from "../../src/onnx/archive.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { load } from "../../src/onnx/source.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { graphOf, modelOf, node } from "../compress/tiny.ts";
import { externalModel, tar } from "../onnx/bytes.ts";

let folder: string;
let blobs: LocalBlobs;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hone-stored-"));
  blobs = new LocalBlobs(folder);
});
afterEach(async () => {
  await blobs.close();
  await rm(folder, { recursive: true });
});

const weights = Uint8Array.from({ length: 1 << 16 }, (_, i) => (i * 13 + (i >> 7)) % 251);

async function weightsOf(model: Model): Promise<Uint8Array> {
  const { data } = model.graph.initializers[0]!;
  if (data.kind !== "external") throw new Error(`the weights are ${data.kind}`);
  return load(data.span!);
}

test("a model whose files are ranges of an archive is kept on its way by links into the archive", async () => {
  const archive = tar({
    "notes.txt": new Uint8Array(3000).fill(1),
    "model.onnx": externalModel("weights.bin", weights.byteLength),
    "weights.bin": weights,
  });
  await putBytes(blobs, "archive", archive);
  const { main, external } = await openArchive(await blobs.open("archive"));
  const place = ({ blob, size }: typeof main) => ({
    key: blob!.key,
    range: { offset: blob!.offset, length: size },
  });
  const data = external.get("weights.bin")!;
  const upload: StoredModel = { ...place(main), external: { "weights.bin": place(data) } };
  let model = await readStored(blobs, upload);
  expect(await weightsOf(model)).toEqual(weights);
  // Twice: links are made of what links have led to.
  for (const key of ["first.onnx", "second.onnx"]) {
    const stored = await storeModel(blobs, key, model);
    expect((await blobs.open(key)).size).toBeLessThan(1000);
    const links = await blobs.open(`${key}.links`);
    expect(JSON.parse(new TextDecoder().decode(await links.read(0, links.size)))).toEqual([
      { blob: "archive", offset: data.blob!.offset, size: weights.byteLength },
    ]);
    model = await readStored(blobs, stored);
    expect(await weightsOf(model)).toEqual(weights);
  }
});

test("a model in one file is kept on its way by links into that file", async () => {
  const tensor = { name: "w", dataType: DataType.UINT8, dims: [weights.byteLength] };
  const graph = graphOf({
    nodes: [node("Identity", ["w"], ["y"])],
    initializers: [{ ...tensor, data: { kind: "raw", bytes: weights } }],
    outputs: [{ name: "y" }],
  });
  await putBytes(blobs, "model.onnx", await modelBytes(modelOf(graph)));
  const read = await readStored(blobs, { key: "model.onnx", range: null, external: {} });
  const stored = await storeModel(blobs, "first.onnx", read);
  expect((await blobs.open("first.onnx")).size).toBeLessThan(1000);
  expect(await weightsOf(await readStored(blobs, stored))).toEqual(weights);
});
