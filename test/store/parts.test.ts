import fc from "fast-check";
import { expect, test } from "vitest";
import { partedFile, partsMetadata, piecesOf } from "../../src/store/parts.ts";

/** A file, its parts, and a range of it. */
const cut = fc
  .record({ bytes: fc.integer({ min: 1, max: 300 }), partBytes: fc.integer({ min: 1, max: 100 }) })
  .chain(({ bytes, partBytes }) =>
    fc.tuple(fc.nat(bytes - 1), fc.nat(bytes)).map(([offset, some]) => ({
      ...{ bytes, partBytes, offset },
      length: 1 + (some % (bytes - offset)),
    })),
  );

test("any range of a file in parts is that of the file, each part read once and within itself", () => {
  fc.assert(
    fc.property(cut, ({ bytes, partBytes, offset, length }) => {
      const file = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
      const pieces = [...piecesOf({ bytes, partBytes }, offset, length)];
      const read = pieces.flatMap((piece) => {
        const own = file.subarray((piece.part - 1) * partBytes, piece.part * partBytes);
        expect(piece.length).toBeGreaterThan(0);
        expect(piece.offset + piece.length).toBeLessThanOrEqual(own.byteLength);
        return [...own.subarray(piece.offset, piece.offset + piece.length)];
      });
      expect(read).toEqual([...file.subarray(offset, offset + length)]);
      expect(new Set(pieces.map(({ part }) => part)).size).toBe(pieces.length);
    }),
  );
});

test("metadata says what it was told, and nothing of an object that is the file itself", () => {
  const file = { bytes: 9, partBytes: 4 };
  expect(partedFile(partsMetadata(file))).toEqual(file);
  expect(partedFile({})).toBeNull();
  expect(partedFile(undefined)).toBeNull();
});
