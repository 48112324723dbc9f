import { type ByteSource, checkRange } from "../onnx/source.ts";

/** Readers of a skeleton ask for a few bytes at a time; every get costs a subrequest. */
const PAGE_BYTES = 256 * 1024;
const PAGES_KEPT = 16;

/** A source that reads whole pages for small ranges and keeps the last few of them. */
export function pagedSource(
  key: string,
  size: number,
  get: (offset: number, target: Uint8Array) => Promise<void>,
): ByteSource {
  const fresh = async (offset: number, length: number) => {
    const bytes = new Uint8Array(length);
    await get(offset, bytes);
    return bytes;
  };
  const pages = new Map<number, Promise<Uint8Array>>();
  const page = (index: number): Promise<Uint8Array> => {
    const start = index * PAGE_BYTES;
    const found = pages.get(index) ?? fresh(start, Math.min(PAGE_BYTES, size - start));
    // The map keeps the order of insertion, so its first key is the page unused for longest.
    pages.delete(index);
    pages.set(index, found);
    found.catch(() => pages.delete(index));
    if (pages.size > PAGES_KEPT) pages.delete(pages.keys().next().value!);
    return found;
  };
  return {
    blob: { key, offset: 0 },
    size,
    async read(offset, length) {
      checkRange(offset, length, size);
      if (length === 0) return new Uint8Array(0);
      if (length > PAGE_BYTES) return fresh(offset, length);
      const first = Math.floor(offset / PAGE_BYTES);
      const last = Math.floor((offset + length - 1) / PAGE_BYTES);
      const inFirst = offset - first * PAGE_BYTES;
      if (first === last) return (await page(first)).slice(inFirst, inFirst + length);
      const [a, b] = [await page(first), await page(last)];
      const out = new Uint8Array(length);
      const head = a.subarray(inFirst);
      out.set(head);
      out.set(b.subarray(0, length - head.byteLength), head.byteLength);
      return out;
    },
    async readInto(offset, target) {
      checkRange(offset, target.byteLength, size);
      if (target.byteLength > PAGE_BYTES) await get(offset, target);
      else target.set(await this.read(offset, target.byteLength));
    },
  };
}
