import { type ByteSource, checkRange } from "../onnx/source.ts";

/** Readers of a skeleton ask for a few bytes at a time; every get costs a subrequest. */
const PAGE_BYTES = 256 * 1024;
const PAGES_KEPT = 16;

/** Reads a range of something into all of `target`. */
export type Fill = (offset: number, target: Uint8Array) => Promise<void>;

/**
 * The last few pages that were read of any source. Sources share them, as the results of all layers of a model are open at once, each
 * of them read for its first bytes.
 */
export class Pages {
  readonly #pages = new Map<string, Promise<Uint8Array>>();
  #sources = 0;

  /** A source that reads whole pages for small ranges. What is opened again is read again. */
  source(key: string, size: number, fill: Fill): ByteSource {
    const id = this.#sources++;
    const page = (index: number) => {
      const start = index * PAGE_BYTES;
      return this.#page(`${id} ${index}`, () => fresh(fill, start, Math.min(PAGE_BYTES, size - start)));
    };
    return {
      blob: { key, offset: 0 },
      size,
      async read(offset, length) {
        checkRange(offset, length, size);
        if (length === 0) return new Uint8Array(0);
        if (length > PAGE_BYTES) return fresh(fill, offset, length);
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
        if (target.byteLength > PAGE_BYTES) await fill(offset, target);
        else target.set(await this.read(offset, target.byteLength));
      },
    };
  }

  #page(name: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const found = this.#pages.get(name) ?? read();
    // The map keeps the order of insertion, so its first key is the page unused for longest.
    this.#pages.delete(name);
    this.#pages.set(name, found);
    found.catch(() => this.#pages.delete(name));
    if (this.#pages.size > PAGES_KEPT) this.#pages.delete(this.#pages.keys().next().value!);
    return found;
  }
}

async function fresh(fill: Fill, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await fill(offset, bytes);
  return bytes;
}
