import { type Bytes, byteLength, concatenated, filledSource, loadInto, slice } from "./source.ts";

/** Of all payloads together, what is read at once. */
const READ_BYTES = 1 << 20;

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
  const together = Math.max(1, Math.floor(READ_BYTES / width));
  const source = filledSource(width * outer, async (offset, target) => {
    const [first, end] = [Math.floor(offset / width), Math.ceil((offset + target.length) / width)];
    const read = new Uint8Array(Math.min(together, end - first) * Math.max(...widths));
    for (let row = first; row < end; row += together) {
      const rows = Math.min(together, end - row);
      let begin = row * width - offset;
      for (const [i, payload] of payloads.entries()) {
        const own = widths[i]!;
        const pieces = read.subarray(0, rows * own);
        await loadInto(slice(payload, row * own, (row + rows) * own), pieces);
        for (let r = 0; r < rows; r++) {
          const at = begin + r * width;
          const [from, to] = [Math.max(0, -at), Math.min(own, target.length - at)];
          if (from < to) target.set(pieces.subarray(r * own + from, r * own + to), at + from);
        }
        begin += own;
      }
    }
  });
  return { source, offset: 0, length: source.size };
}
