import fc from "fast-check";
import { expect, test } from "vitest";
import { partedFile, partsMetadata, readParts } from "../../src/store/parts.ts";

/** A file, its parts, and a range of it. */
const cut = fc
  .record({ bytes: fc.integer({ min: 1, max: 300 }), partBytes: fc.integer({ min: 1, max: 100 }) })
  .chain(({ bytes, partBytes }) =>
    fc.tuple(fc.nat(bytes - 1), fc.nat(bytes)).map(([offset, some]) => ({
      ...{ bytes, partBytes, offset },
      length: 1 + (some % (bytes - offset)),
    })),
  );

test("any range of a file in parts is that of the file, each part read once and within itself", async () => {
  await fc.assert(
    fc.asyncProperty(cut, async ({ bytes, partBytes, offset, length }) => {
      const file = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
      const read: number[] = [];
      const answer = new Uint8Array(length);
      await readParts({ bytes, partBytes }, offset, answer, async (part, from, target) => {
        const count = target.byteLength;
        const own = file.subarray((part - 1) * partBytes, part * partBytes);
        expect(count).toBeGreaterThan(0);
        expect(from + count).toBeLessThanOrEqual(own.byteLength);
        read.push(part);
        target.set(own.subarray(from, from + count));
      });
      expect(answer).toEqual(file.subarray(offset, offset + length));
      expect(new Set(read).size).toBe(read.length);
    }),
  );
});

test("metadata says what it was told, and nothing of an object that is the file itself", () => {
  const file = { bytes: 9, partBytes: 4 };
  expect(partedFile(partsMetadata(file))).toEqual(file);
  expect(partedFile({})).toBeNull();
  expect(partedFile(undefined)).toBeNull();
});
