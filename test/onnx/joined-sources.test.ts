import fc from "fast-check";
import { expect, test } from "vitest";
import { interleaved } from "../../src/onnx/interleaved.ts";
import { type Bytes, bytesSource, load, sourceOf, wholeOf } from "../../src/onnx/source.ts";

/** Bytes at hand, or the middle of a source. */
const part = fc
  .tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean())
  .map(([bytes, atHand]): { bytes: Uint8Array; as: Bytes } => {
    const source = bytesSource(Uint8Array.of(9, 9, ...bytes, 9));
    return { bytes, as: atHand ? bytes : { source, offset: 2, length: bytes.length } };
  });

test("parts one after the other read as if they were one, by any range", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 8 }), fc.nat(), fc.nat(), async (parts, a, b) => {
      const whole = Uint8Array.from(parts.flatMap(({ bytes }) => [...bytes]));
      const source = sourceOf(parts.map(({ as }) => as));
      expect(await wholeOf(source)).toEqual(whole);
      const [from, to] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y) as [
        number,
        number,
      ];
      expect(await source.read(from, to - from)).toEqual(whole.subarray(from, to));
      await expect(source.read(whole.length, 1)).rejects.toBeInstanceOf(RangeError);
    }),
    { seed: 7 },
  );
});

test("pieces in turn read as if they were written out, by any range, also past what is read at once", async () => {
  const widths = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 });
  const outers = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(300_000));
  await fc.assert(
    fc.asyncProperty(widths, outers, fc.nat(), fc.nat(), async (sizes, outer, a, b) => {
      const payloads = sizes.map((size, p) =>
        Uint8Array.from({ length: size * outer }, (_, i) => (i * 7 + p * 101 + (i >> 8)) & 0xff),
      );
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const whole = new Uint8Array(total * outer);
      let at = 0;
      for (let piece = 0; piece < outer; piece++) {
        for (const [p, size] of sizes.entries()) {
          whole.set(payloads[p]!.subarray(piece * size, (piece + 1) * size), at);
          at += size;
        }
      }
      const joined = interleaved(
        payloads.map((bytes) => ({ source: bytesSource(bytes), offset: 0, length: bytes.length })),
        outer,
      );
      expect(Buffer.compare(await load(joined), whole)).toBe(0);
      if (joined instanceof Uint8Array) return;
      const [from, to] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y) as [
        number,
        number,
      ];
      expect(Buffer.compare(await joined.source.read(from, to - from), whole.subarray(from, to))).toBe(0);
    }),
    { seed: 11, numRuns: 60 },
  );
});
