import { env } from "cloudflare:test";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { bytesSource, filledSource } from "../../src/onnx/source.ts";
import { fileKey, partKey } from "../../src/store/object-keys.ts";
import { BlobMissingError, Objects, partSize } from "../../src/store/objects.ts";

/** A bucket that refuses the first calls of every method, as many as are said. */
function refusing(times: number): { objects: Objects; calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const bucket = new Proxy(env.OBJECTS, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        const count = (calls.get(String(name)) ?? 0) + 1;
        calls.set(String(name), count);
        if (count <= times) throw new Error("We encountered an internal error. Please try again. (10001)");
        return Reflect.apply(method, target, args);
      };
    },
  });
  return { objects: new Objects(bucket), calls };
}

test("an operation that R2 refuses five times is done the sixth time", async () => {
  const { objects } = refusing(5);
  const key = "accounts/test/refused";
  await objects.putBytes(key, "hello");
  expect(await objects.find(key)).toBe("hello");
  await env.OBJECTS.delete(key);
});

test("one that it refuses six times fails, and what is missing is not asked for twice", async () => {
  await expect(refusing(6).objects.putBytes("accounts/test/refused", "hello")).rejects.toThrow("10001");
  const { objects, calls } = refusing(0);
  await expect(objects.open("accounts/test/nothing")).rejects.toBeInstanceOf(BlobMissingError);
  expect(calls.get("head")).toBe(1);
});

test("a file in parts reads as one, its pages too, and is deleted with its parts", async () => {
  const objects = new Objects(env.OBJECTS);
  const key = fileKey("test", "parted");
  const [bytes, partBytes] = [700_000, 300_000];
  const file = Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + (i >> 8)) % 256);
  for (const part of [3, 1, 2]) {
    await objects.putBytes(partKey(key, part), file.subarray((part - 1) * partBytes, part * partBytes));
  }
  await objects.joinParts(key, { bytes, partBytes });
  const source = await objects.open(key);
  expect([source.size, source.blob]).toEqual([bytes, { key, offset: 0 }]);
  for (const [offset, length] of [
    [0, bytes],
    [299_999, 2],
    [250_000, 300_000],
    [600_000, 100_000],
    [bytes - 1, 1],
    [7, 0],
  ] as const) {
    expect(await source.read(offset, length)).toEqual(file.subarray(offset, offset + length));
  }
  await expect(source.read(bytes, 1)).rejects.toBeInstanceOf(RangeError);
  await objects.putBytes(fileKey("test", "parted-2"), "another file");
  await objects.delete(key);
  expect(await objects.names("accounts/test/files/")).toEqual(["parted-2"]);
  await objects.delete(fileKey("test", "parted-2"));
});

test("what is written is kept in parts from some size on: read, streamed by any range, found as text, and gone as one", async () => {
  const objects = new Objects(env.OBJECTS);
  const key = "accounts/test/jobs/cmp_1/large";
  const [partBytes, bytes] = [partSize(0), 2 * partSize(0) + 1000];
  const file = Uint8Array.from({ length: bytes }, (_, i) => 65 + ((i * 7 + (i >> 8)) % 26));
  const sha256 = await objects.put(key, bytesSource(file));
  expect(sha256).toBe(createHash("sha256").update(file).digest("hex"));
  expect(await objects.names("accounts/test/jobs/cmp_1/")).toEqual([
    "large",
    ...[1, 2, 3].map((part) => `large/parts/${part}`),
  ]);
  const source = await objects.open(key);
  expect(Buffer.compare(await source.read(0, bytes), file)).toBe(0);
  for (const [offset, length] of [
    [0, bytes],
    [partBytes - 1, 2],
    [partBytes, partBytes],
    [bytes - 1, 1],
  ] as const) {
    const stream = await objects.stream(key, { offset, length });
    const streamed = await new Response(stream).bytes();
    expect(Buffer.compare(streamed, file.subarray(offset, offset + length))).toBe(0);
  }
  expect(Buffer.compare(await new Response(await objects.stream(key)).bytes(), file)).toBe(0);
  expect((await objects.find(key))?.length).toBe(bytes);
  await objects.putBytes("accounts/test/jobs/cmp_1/other", "x");
  await objects.deletePrefix("accounts/test/jobs/cmp_1/", new Set([key]));
  expect(await objects.names("accounts/test/jobs/cmp_1/")).toHaveLength(4);
  await objects.delete(key);
  expect(await objects.names("accounts/test/jobs/cmp_1/")).toEqual([]);
});

test("a file whose writing breaks off is not there", async () => {
  const objects = new Objects(env.OBJECTS);
  const key = "accounts/test/jobs/cmp_2/broken";
  const source = filledSource(2 * partSize(0), async (offset) => {
    if (offset > 0) throw new Error("the source broke off");
  });
  await expect(objects.put(key, source)).rejects.toThrow("broke off");
  expect(await objects.exists(key)).toBe(false);
  await objects.delete(key);
  expect(await objects.names("accounts/test/jobs/cmp_2/")).toEqual([]);
});

test("a stream of another length than was said is not stored, and what was there stays", async () => {
  const objects = new Objects(env.OBJECTS);
  const key = fileKey("test", "streamed");
  const streamOf = (text: string) => new Response(text).body!;
  await objects.putStream(key, streamOf("hello"), 5);
  for (const text of ["hell", "hello!"]) {
    await expect(objects.putStream(key, streamOf(text), 5)).rejects.toThrow();
  }
  expect(await objects.find(key)).toBe("hello");
  await objects.delete(key);
});
