import type { Scratch } from "../evaluate/segments/execution.ts";
import type { Blobs } from "./job.ts";
import { putBytes } from "./put-bytes.ts";

/** Puts bytes aside as blobs, each under a key of its own. */
export class BlobScratch implements Scratch {
  readonly #blobs: Blobs;
  readonly #prefix: string;
  #count = 0;

  constructor(blobs: Blobs, prefix: string) {
    this.#blobs = blobs;
    this.#prefix = prefix;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const key = `${this.#prefix}${this.#count++}`;
    await putBytes(this.#blobs, key, bytes);
    return key;
  }

  async get(key: string): Promise<Uint8Array> {
    const source = await this.#blobs.open(key);
    return source.read(0, source.size);
  }

  drop(key: string): Promise<void> {
    return this.#blobs.delete(key);
  }
}
