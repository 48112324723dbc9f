import { type ByteSource, readInto } from "../onnx/source.ts";
import type { Blobs, JobHost } from "./job.ts";
import { MemoryAccount } from "./memory-account.ts";

/** Of an object that is being written, what is in memory at the most. */
const WRITE_BYTES = 8 * 2 ** 20;

/** A host's blobs that count the bytes going through them, and those that are held while they do. */
export class CountedBlobs implements Blobs {
  read = 0;
  written = 0;
  readonly memory: MemoryAccount;
  readonly #blobs: Blobs;

  constructor(host: Pick<JobHost, "blobs" | "wasmBytes">) {
    this.#blobs = host.blobs;
    this.memory = new MemoryAccount(() => host.wasmBytes());
  }

  async put(key: string, source: ByteSource): Promise<string> {
    const buffered = Math.min(source.size, WRITE_BYTES);
    const sha256 = await this.memory.holding(buffered, () => this.#blobs.put(key, source));
    this.written += source.size;
    return sha256;
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
        return this.memory.holding(length, () => source.read(offset, length));
      },
      readInto: (offset, target) => {
        this.read += target.byteLength;
        return this.memory.holding(target.byteLength, () => readInto(source, offset, target));
      },
    };
  }
}
