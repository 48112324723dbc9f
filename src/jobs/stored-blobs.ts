import { type ByteSource, readInto } from "../onnx/source.ts";
import { BlobMissingError } from "../store/objects.ts";
import type { Blobs } from "./job.ts";

/** The bucket did not do what it was asked. That says nothing about what was to be stored, and may be tried for as long as it takes. */
export class StorageError extends Error {
  override name = "StorageError";
}

/** Blobs whose own failures can be told from those of the work that uses them. */
export class StoredBlobs implements Blobs {
  readonly #blobs: Blobs;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  put(key: string, source: ByteSource): Promise<string> {
    return stored(this.#blobs.put(key, source));
  }

  delete(key: string): Promise<void> {
    return stored(this.#blobs.delete(key));
  }

  async open(key: string): Promise<ByteSource> {
    const source = await stored(this.#blobs.open(key));
    return {
      blob: source.blob,
      size: source.size,
      read: (offset, length) => stored(source.read(offset, length)),
      readInto: (offset, target) => stored(readInto(source, offset, target)),
    };
  }
}

function stored<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    // What is not there, or not that long, is an answer.
    if (error instanceof BlobMissingError || error instanceof RangeError) throw error;
    throw new StorageError(error instanceof Error ? error.message : String(error), { cause: error });
  });
}
