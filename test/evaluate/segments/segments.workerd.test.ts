import { env } from "cloudflare:test";
import { expect, test } from "vitest";
import { executable } from "../../../src/evaluate/segments/executable.ts";
import { atMost } from "../../../src/evaluate/segments/execution.ts";
import { Room, Track } from "../../../src/evaluate/segments/track.ts";
import { BlobScratch } from "../../../src/jobs/blob-scratch.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { inOrder } from "../../../src/onnx/validate.ts";
import { workerdRuntime } from "../../../src/runtime/workerd.ts";
import type { Bindings } from "../../../src/store/bindings.ts";
import { Objects } from "../../../src/store/objects.ts";
import { RECOGNISER_DIGEST, recogniserDigest } from "../../runtime/same-bits.ts";

const { OCR_RECOGNISER, OBJECTS } = env as unknown as Bindings & { readonly OCR_RECOGNISER: ArrayBuffer };

const objects = new Objects(OBJECTS);

test("workerd gives the recogniser's answer to the bit in segments, as Node does whole", async () => {
  const model = inOrder(await readModel(bytesSource(new Uint8Array(OCR_RECOGNISER))));
  const scratch = new BlobScratch(objects, "test/recogniser/");
  const execution = { runtime: await workerdRuntime(), memory: atMost(6 * 2 ** 20), scratch };
  const session = await executable(model, execution).open([]);
  expect(session.isWhole).toBe(false);
  expect(await recogniserDigest(session)).toBe(RECOGNISER_DIGEST);
  expect((await OBJECTS.list({ prefix: "test/recogniser/" })).objects).toEqual([]);
});

test("what passes between segments lies in R2 until it has been read", async () => {
  const track = new Track(new Room(0), new BlobScratch(objects, "test/between/"));
  const value = { dataType: DataType.INT64, dims: [3], data: BigInt64Array.of(1n, -1n, 2n ** 62n) };
  await track.add(value);
  await track.seal();
  expect((await OBJECTS.list({ prefix: "test/between/" })).objects).toHaveLength(1);
  expect(await track.at(0)).toEqual(value);
  await track.drop();
  expect((await OBJECTS.list({ prefix: "test/between/" })).objects).toEqual([]);
});
