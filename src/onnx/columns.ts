import { type Bytes, byteLength, filledSource, loadInto, slice } from "./source.ts";

/** Bytes that are read at once to pick columns from; a remote source costs by the read. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Columns of a matrix that lies row by row, as a range of their own that is read when it is needed.
 * @param rowBytes length of a row
 * @param from where the columns begin in each row, in bytes
 * @param to where they end
 */
export function columnsOf(matrix: Bytes, rowBytes: number, from: number, to: number): Bytes {
  const width = to - from;
  const rows = byteLength(matrix) / rowBytes;
  const size = rows * width;
  const source = filledSource(size, async (offset, picked) => {
    const length = picked.byteLength;
    const first = Math.floor(offset / width);
    const end = Math.ceil((offset + length) / width);
    const step = Math.min(Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)), end - first);
    const room = new Uint8Array(step * rowBytes);
    for (let row = first; row < end; row += step) {
      const last = Math.min(row + step, end);
      const chunk = room.subarray(0, (last - 1 - row) * rowBytes + width);
      await loadInto(slice(matrix, row * rowBytes + from, (last - 1) * rowBytes + to), chunk);
      for (let one = row; one < last; one++) {
        const start = one * width - offset;
        const cells = chunk.subarray((one - row) * rowBytes, (one - row) * rowBytes + width);
        const skipped = Math.max(0, -start);
        picked.set(cells.subarray(skipped, Math.min(width, length - start)), start + skipped);
      }
    }
  });
  return { source, offset: 0, length: size };
}

/**
 * Rows of a matrix that lies row by row, as a range of their own that is read when it is needed; neighbours are read together.
 * @param rowBytes length of a row
 * @param places of the rows, in the order in which they are to lie
 */
export function rowsOf(matrix: Bytes, rowBytes: number, places: readonly number[]): Bytes {
  const size = places.length * rowBytes;
  const source = filledSource(size, async (offset, picked) => {
    const length = picked.byteLength;
    const end = Math.ceil((offset + length) / rowBytes);
    for (let at = Math.floor(offset / rowBytes); at < end; ) {
      let next = at + 1;
      while (next < end && places[next] === places[next - 1]! + 1) next++;
      const from = Math.max(at * rowBytes, offset);
      const to = Math.min(next * rowBytes, offset + length);
      const shift = (places[at]! - at) * rowBytes;
      const target = picked.subarray(from - offset, to - offset);
      await loadInto(slice(matrix, from + shift, to + shift), target);
      at = next;
    }
  });
  return { source, offset: 0, length: size };
}
