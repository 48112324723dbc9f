import { createHash } from "node:crypto";
import { free } from "../onnx/free.ts";
import { type ByteSource, readInto } from "../onnx/source.ts";
import { fileOf, partKey, partsPrefix } from "./object-keys.ts";
import { Pages } from "./pages.ts";
import { type PartedFile, partedFile, partsMetadata, piecesOf } from "./parts.ts";

/** No object under the key. */
export class BlobMissingError extends Error {
  override name = "BlobMissingError";
  constructor(key: string) {
    super(`no object ${key}`);
  }
}

/** A stream that ended before its declared size, or went on after it. */
export class BlobSizeError extends Error {
  override name = "BlobSizeError";
}

const MiB = 1_048_576;

/** Of a large file; a part may be held in memory. */
const PART_BYTES = 8 * MiB;
const MAX_PARTS = 10_000;

/** What was written. */
export interface Written {
  readonly bytes: number;
  readonly sha256: string;
}

const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 50;

/** Tries an operation that may be repeated again while the bucket refuses it, as R2 does for a moment now and then. */
async function persistently<T>(operation: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** attempt));
    }
  }
}

/** The bucket. Nothing else touches its binding. */
export class Objects {
  private readonly bucket: R2Bucket;
  private readonly pages = new Pages();

  constructor(bucket: R2Bucket) {
    this.bucket = bucket;
  }

  /**
   * Writes a file, in parts where it is large: it appears whole or not at all. Parts that nothing joins go with their owner, or in the
   * sweep. Under one key only one content is ever written.
   * @returns SHA-256 of what was written, in hex
   */
  async put(key: string, source: ByteSource): Promise<string> {
    const { size } = source;
    const partBytes = partSize(size);
    const hash = createHash("sha256");
    const buffer = new Uint8Array(Math.min(partBytes, size));
    const parts = Math.max(1, Math.ceil(size / partBytes));
    for (let part = 1; part <= parts; part++) {
      const at = (part - 1) * partBytes;
      const bytes = buffer.subarray(0, Math.min(partBytes, size - at));
      await readInto(source, at, bytes);
      hash.update(bytes);
      await this.putBytes(parts === 1 ? key : partKey(key, part), bytes);
    }
    if (parts > 1) await this.joinParts(key, { bytes: size, partBytes });
    free(buffer);
    return hash.digest("hex");
  }

  /**
   * As {@link put}, of a stream whose length is known when it ends.
   * @param limit bytes after which its error is thrown
   */
  async write(
    key: string,
    chunks: AsyncIterable<Uint8Array>,
    limit: { readonly bytes: number; readonly error: () => Error },
  ): Promise<Written> {
    const partBytes = partSize(limit.bytes);
    const hash = createHash("sha256");
    let parts = 0;
    let bytes = 0;
    let buffered = 0;
    let buffer = new Uint8Array(MiB);
    const flush = async () => {
      await this.putBytes(partKey(key, ++parts), buffer.subarray(0, buffered));
      buffered = 0;
    };
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      if (bytes > limit.bytes) throw limit.error();
      hash.update(chunk);
      for (let at = 0; at < chunk.byteLength; ) {
        if (buffered === partBytes) await flush();
        const take = Math.min(partBytes - buffered, chunk.byteLength - at);
        buffer = grown(buffer, buffered + take, partBytes);
        buffer.set(chunk.subarray(at, at + take), buffered);
        buffered += take;
        at += take;
      }
    }
    if (parts === 0) {
      await this.putBytes(key, buffer.subarray(0, buffered));
    } else {
      await flush();
      await this.joinParts(key, { bytes, partBytes });
    }
    free(buffer);
    return { bytes, sha256: hash.digest("hex") };
  }

  /** A small object, whole. */
  async putBytes(key: string, bytes: Uint8Array | string): Promise<void> {
    await persistently(() => this.bucket.put(key, bytes));
  }

  /**
   * An object from a stream, which is not held in memory. A stream cannot be read again: what R2 refuses is for the sender to repeat.
   * @param size what R2 wants to know beforehand; another length is an error
   */
  async putStream(key: string, stream: ReadableStream<Uint8Array>, size: number): Promise<void> {
    await this.bucket.put(key, stream.pipeThrough(new FixedLengthStream(size)));
  }

  /** Makes a file of the parts that lie under {@link partKey}, where they lie. Safe to repeat. */
  async joinParts(key: string, file: PartedFile): Promise<void> {
    await persistently(() => this.bucket.put(key, new Uint8Array(), { customMetadata: partsMetadata(file) }));
  }

  /** An object, or the file whose parts it stands for. */
  async open(key: string): Promise<ByteSource> {
    const head = await this.head(key);
    const parted = partedFile(head.customMetadata);
    if (!parted)
      return this.pages.source(key, head.size, (offset, target) => this.range(key, offset, target));
    return this.pages.source(key, parted.bytes, (offset, target) =>
      this.partedRange(key, parted, offset, target),
    );
  }

  /** Reads a range of a file in parts, one after the other, so that nothing is held beside the result. */
  private async partedRange(
    key: string,
    parted: PartedFile,
    offset: number,
    target: Uint8Array,
  ): Promise<void> {
    let at = 0;
    for (const piece of piecesOf(parted, offset, target.byteLength)) {
      await this.range(partKey(key, piece.part), piece.offset, target.subarray(at, at + piece.length));
      at += piece.length;
    }
  }

  private async head(key: string): Promise<R2Object> {
    const head = await persistently(() => this.bucket.head(key));
    if (!head) throw new BlobMissingError(key);
    return head;
  }

  /** Reads a range of an object into `target`, which is as long. */
  private async range(key: string, offset: number, target: Uint8Array): Promise<void> {
    const length = target.byteLength;
    await persistently(async () => {
      const object = await this.bucket.get(key, { range: { offset, length } });
      if (!object) throw new BlobMissingError(key);
      await fill(target, object.body);
    });
  }

  async text(key: string): Promise<string> {
    const text = await this.find(key);
    if (text === null) throw new BlobMissingError(key);
    return text;
  }

  /** The text of an object that may not be there. */
  async find(key: string): Promise<string | null> {
    const found = await persistently(async () => {
      const object = await this.bucket.get(key);
      return object && { parted: partedFile(object.customMetadata), text: await object.text() };
    });
    if (!found?.parted) return found?.text ?? null;
    const source = await this.open(key);
    return new TextDecoder().decode(await source.read(0, source.size));
  }

  /** The bytes of a range of a file as a stream, one part after the other. */
  async stream(key: string, range?: { offset: number; length: number }): Promise<ReadableStream<Uint8Array>> {
    const head = await this.head(key);
    const parted = partedFile(head.customMetadata);
    if (!parted) return this.body(key, range);
    const { offset, length } = range ?? { offset: 0, length: parted.bytes };
    const { readable, writable } = new FixedLengthStream(length);
    const written = (async () => {
      for (const piece of piecesOf(parted, offset, length)) {
        const body = await this.body(partKey(key, piece.part), piece);
        await body.pipeTo(writable, { preventClose: true });
      }
      await writable.close();
    })();
    // Whoever reads the stream is told; a reader who has gone needs nothing more.
    written.catch((error) => writable.abort(error).catch(() => undefined));
    return readable;
  }

  private async body(
    key: string,
    range?: { offset: number; length: number },
  ): Promise<ReadableStream<Uint8Array>> {
    const object = await persistently(() => this.bucket.get(key, range ? { range } : {}));
    if (!object) throw new BlobMissingError(key);
    return object.body;
  }

  async exists(key: string): Promise<boolean> {
    return (await persistently(() => this.bucket.head(key))) !== null;
  }

  /** Deletes files, with the parts of those that lie in parts. */
  async delete(files: string | readonly string[]): Promise<void> {
    const all = typeof files === "string" ? [files] : files;
    for (const file of all) await this.deletePrefix(partsPrefix(file));
    await this.deleteObjects(all);
  }

  /** Deletes everything under a prefix but the files to keep, with their parts. */
  async deletePrefix(prefix: string, keep: ReadonlySet<string> = new Set()): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.list(prefix, cursor);
      await this.deleteObjects(page.objects.map(({ key }) => key).filter((key) => !keep.has(fileOf(key))));
      cursor = page.cursor;
    } while (cursor);
  }

  /** Deletes objects as they were listed, parts or not. */
  async deleteObjects(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += 1000) {
      await persistently(() => this.bucket.delete(keys.slice(at, at + 1000)));
    }
  }

  /** The keys of all objects under a prefix, without it. */
  async names(prefix: string): Promise<string[]> {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.list(prefix, cursor);
      names.push(...page.objects.map(({ key }) => key.slice(prefix.length)));
      cursor = page.cursor;
    } while (cursor);
    return names;
  }

  /** One page of at most 1,000 objects, by key. */
  async list(
    prefix: string,
    cursor?: string,
  ): Promise<{ objects: readonly { key: string; uploaded: number }[]; cursor?: string }> {
    const page = await persistently(() => this.bucket.list({ prefix, cursor }));
    return {
      objects: page.objects.map(({ key, uploaded }) => ({ key, uploaded: uploaded.getTime() })),
      cursor: page.truncated ? page.cursor : undefined,
    };
  }
}

/** Parts large enough that the whole fits into 10,000 of them; whole MiB. */
export function partSize(bytes: number, least = PART_BYTES): number {
  return Math.max(least, Math.ceil(bytes / MAX_PARTS / MiB) * MiB);
}

function grown(buffer: Uint8Array<ArrayBuffer>, needed: number, most: number): Uint8Array<ArrayBuffer> {
  if (needed <= buffer.byteLength) return buffer;
  const larger = new Uint8Array(Math.min(most, Math.max(needed, 2 * buffer.byteLength)));
  larger.set(buffer);
  free(buffer);
  return larger;
}

/** Of a stream that is being read, what is held beside where it goes. */
const STREAMED_BYTES = 256 * 1024;

/** The bytes of a stream, by one buffer that the stream fills again and again. @throws BlobSizeError where there are too few */
async function fill(target: Uint8Array, stream: ReadableStream): Promise<void> {
  const reader = stream.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(Math.min(STREAMED_BYTES, target.byteLength));
  for (let at = 0; at < target.byteLength; ) {
    const wanted = Math.min(buffer.byteLength, target.byteLength - at);
    const { value } = await reader.readAtLeast(wanted, new Uint8Array(buffer, 0, wanted));
    if (!value?.byteLength) throw new BlobSizeError(`${target.byteLength - at} bytes of a range are missing`);
    target.set(value, at);
    at += value.byteLength;
    buffer = value.buffer as ArrayBuffer;
  }
  await reader.cancel();
}
