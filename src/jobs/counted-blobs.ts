import type { ByteSource } from "../onnx/source.ts";
import type { Blobs } from "./job.ts";

/** A host's blobs that count the bytes going through them. */
export class CountedBlobs implements Blobs {
  read = 0;
  written = 0;
  readonly #blobs: Blobs;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  async put(key: string, chunks: AsyncIterable<Uint8Array>, size: number): Promise<void> {
    await this.#blobs.put(key, chunks, size);
    this.written += size;
  }

  delete(key: string): Promise<void> {
    return this.#blobs.delete(key);
  }

  async open(key: string): Promise<ByteSource> {
    const source = await this.#blobs.open(key);
    return {
      blob: source.blob,
      size: source.size,
      read: (offset, length) => {
        this.read += length;
        return source.read(offset, length);
      },
    };
  }
}
