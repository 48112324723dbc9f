import { type ByteSource, type Bytes, byteLength, checkRange, concatenated, load, slice } from "./source.ts";

/**
 * Payloads joined along an axis: of each, `outer` pieces of equal size, in turn. Nothing is read before it is wanted.
 *
 * @throws RangeError where a payload has no `outer` pieces of whole bytes
 */
export function interleaved(payloads: readonly Bytes[], outer: number): Bytes {
  if (outer === 1) return concatenated(payloads);
  const widths = payloads.map((payload) => byteLength(payload) / outer);
  if (!widths.every(Number.isInteger))
    throw new RangeError(`payloads have no ${outer} pieces of whole bytes`);
  const width = widths.reduce((sum, one) => sum + one, 0);
  const source: ByteSource = {
    size: width * outer,
    async read(offset, length) {
      checkRange(offset, length, source.size);
      if (length === 0) return new Uint8Array(0);
      const first = Math.floor(offset / width);
      const end = Math.ceil((offset + length) / width);
      const whole = new Uint8Array((end - first) * width);
      let begin = 0;
      for (const [i, payload] of payloads.entries()) {
        const own = widths[i]!;
        const pieces = await load(slice(payload, first * own, end * own));
        for (let row = 0; row < end - first; row++) {
          whole.set(pieces.subarray(row * own, (row + 1) * own), row * width + begin);
        }
        begin += own;
      }
      return whole.subarray(offset - first * width, offset - first * width + length);
    },
  };
  return { source, offset: 0, length: source.size };
}
