import fc from "fast-check";
import { expect, test } from "vitest";
import { Pages } from "../../src/store/pages.ts";

const PAGE = 256 * 1024;
const LENGTH = 3 * PAGE + 17;
const bytes = Uint8Array.from({ length: LENGTH }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

function counted(pages: Pages) {
  const reads: number[] = [];
  const source = pages.source("key", LENGTH, async (offset, target) => {
    reads.push(target.byteLength);
    target.set(bytes.subarray(offset, offset + target.byteLength));
  });
  return { source, reads };
}

test("any range reads as it lies, in whatever order, also into an array at hand", async () => {
  const { source } = counted(new Pages());
  const range = fc.tuple(fc.integer({ min: 0, max: LENGTH }), fc.integer({ min: 0, max: 2 * PAGE }));
  await fc.assert(
    fc.asyncProperty(range, async ([offset, most]) => {
      const length = Math.min(most, LENGTH - offset);
      const expected = Buffer.from(bytes.subarray(offset, offset + length));
      const target = new Uint8Array(length);
      await source.readInto!(offset, target);
      expect(expected.compare(await source.read(offset, length))).toBe(0);
      expect(expected.compare(target)).toBe(0);
    }),
    { seed: 5 },
  );
});

test("small ranges of a page are read once", async () => {
  const { source, reads } = counted(new Pages());
  for (let at = 0; at < PAGE; at += 4096) await source.read(at, 100);
  expect(reads).toEqual([PAGE]);
});

test("sources share sixteen pages: one read after seventeen others is read anew, one of the last is not", async () => {
  const pages = new Pages();
  const sources = Array.from({ length: 18 }, () => counted(pages));
  for (const { source } of sources) await source.read(0, 4);
  for (const { source } of [sources[17]!, sources[0]!]) await source.read(4, 4);
  expect([sources[17]!, sources[0]!].map(({ reads }) => reads.length)).toEqual([1, 2]);
});

test("what is opened again under the same key is read again", async () => {
  const pages = new Pages();
  const [before, after] = [counted(pages), counted(pages)];
  await before.source.read(0, 4);
  await after.source.read(0, 4);
  expect(after.reads).toEqual([PAGE]);
});

test("a page whose reading failed is read again", async () => {
  let failing = true;
  const source = new Pages().source("key", 8, async (_, target) => {
    if (failing) throw new Error("refused");
    target.fill(7);
  });
  await expect(source.read(0, 4)).rejects.toThrow("refused");
  failing = false;
  expect([...(await source.read(0, 4))]).toEqual([7, 7, 7, 7]);
});
