import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Blobs } from "../jobs/job.ts";
import { free } from "../onnx/free.ts";
import { type ByteSource, rangeSource, readInto } from "../onnx/source.ts";
import { FailedError } from "./errors.ts";
import { type FileSource, openFile } from "./file-source.ts";

/** Nothing was written under the key. */
export class BlobMissingError extends FailedError {
  constructor(key: string) {
    super("blob_missing", `nothing is stored under ${key}`);
  }
}

/** Of a blob that is being written, what is in memory. */
const WRITE_BYTES = 1 << 20;

/** Part of a file that a key stands for. */
export interface Place {
  readonly key: string;
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** Blobs as files of one folder; keys may also stand for sources that lie elsewhere. */
export class LocalBlobs implements Blobs {
  private readonly folder: string;
  private readonly mounted = new Map<string, ByteSource>();
  private readonly opened = new Map<string, { readonly file: FileSource; readonly source: ByteSource }>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Lets a key answer with a source that is read in place. */
  mount(key: string, source: ByteSource): void {
    this.mounted.set(key, named(source, key));
  }

  /** Where all mounted sources lie on disk; null where one does not. */
  places(): Place[] | null {
    const places: Place[] = [];
    for (const [key, { file, size }] of this.mounted) {
      if (!file) return null;
      places.push({ key, size, ...file });
    }
    return places;
  }

  /** Lets keys answer with parts of files, as `places` of another thread has them. */
  async mountFiles(places: readonly Place[]): Promise<void> {
    for (const { key, path, offset, size } of places) {
      this.mount(key, rangeSource(await openFile(path), offset, size));
    }
  }

  /** Where the bytes of a written key lie. */
  path(key: string): string {
    // A hash, because keys hold slashes and names from the model.
    return join(this.folder, createHash("sha256").update(key).digest("hex"));
  }

  async put(key: string, source: ByteSource): Promise<string> {
    const path = this.path(key);
    const file = await open(`${path}.part`, "w");
    const hash = createHash("sha256");
    const buffer = new Uint8Array(Math.min(source.size, WRITE_BYTES));
    try {
      for (let at = 0; at < source.size; at += WRITE_BYTES) {
        const bytes = buffer.subarray(0, Math.min(WRITE_BYTES, source.size - at));
        await readInto(source, at, bytes);
        await file.writeFile(bytes);
        hash.update(bytes);
      }
    } finally {
      await file.close();
    }
    free(buffer);
    await this.opened.get(key)?.file.close();
    this.opened.delete(key);
    await rename(`${path}.part`, path);
    return hash.digest("hex");
  }

  async open(key: string): Promise<ByteSource> {
    const known = this.mounted.get(key) ?? this.opened.get(key)?.source;
    if (known) return known;
    const file = await openFile(this.path(key)).catch(() => {
      throw new BlobMissingError(key);
    });
    const source = named(file, key);
    this.opened.set(key, { file, source });
    return source;
  }

  async delete(key: string): Promise<void> {
    await this.opened.get(key)?.file.close();
    this.opened.delete(key);
    await rm(this.path(key), { force: true });
  }

  async close(): Promise<void> {
    for (const { file } of this.opened.values()) await file.close();
    this.opened.clear();
  }
}

function named(source: ByteSource, key: string): ByteSource {
  const { size, file } = source;
  return {
    blob: { key, offset: 0 },
    size,
    file,
    read: (offset, length) => source.read(offset, length),
    readInto: (offset, target) => readInto(source, offset, target),
  };
}
