/**
 * Where bytes come from: memory, an R2 object, a file on disk. Everything above reads models through this
 * interface only, by range, so that no model has to fit in memory.
 */
export interface ByteSource {
  /** Length of the whole in bytes. */
  readonly size: number;
  /** The blob that holds it, and where in it, where one does: files may name it instead of holding its bytes. */
  readonly blob?: { readonly key: string; readonly offset: number };
  /** Where on disk it lies, where it does: a thread may open it there by itself. */
  readonly file?: { readonly path: string; readonly offset: number };
  /**
   * The bytes [offset, offset + length). Never shorter.
   * @throws RangeError when the range is not inside [0, size].
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Where it can: the same, put into `target`. What is read anew each time is freed only when a collector comes by. */
  readInto?(offset: number, target: Uint8Array): Promise<void>;
}

/** A contiguous range of a source that has not been read. */
export interface Span {
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;
}

/** Bytes at hand, or a range that can be read when needed. */
export type Bytes = Uint8Array | Span;

const CHUNK_BYTES = 1 << 20;

/** The source's bytes in order, at most 1 MiB at a time. */
export async function* chunksOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < source.size; offset += CHUNK_BYTES) {
    yield await source.read(offset, Math.min(CHUNK_BYTES, source.size - offset));
  }
}

/** A source over bytes that are already in memory; ranges are views, not copies. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.byteLength,
    async read(offset, length) {
      checkRange(offset, length, bytes.byteLength);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** The part [offset, offset + length) of a source, as a source. */
export function rangeSource(source: ByteSource, offset: number, length: number): ByteSource {
  const { blob, file } = source;
  return {
    size: length,
    ...(blob && { blob: { key: blob.key, offset: blob.offset + offset } }),
    ...(file && { file: { path: file.path, offset: file.offset + offset } }),
    async read(at, count) {
      checkRange(at, count, length);
      return source.read(offset + at, count);
    },
    async readInto(at, target) {
      checkRange(at, target.byteLength, length);
      await readInto(source, offset + at, target);
    },
  };
}

/**
 * A source that can do nothing but fill bytes at hand.
 * @param fill puts the bytes from an offset on into all of `target`; asked for no range outside [0, size]
 */
export function filledSource(
  size: number,
  fill: (offset: number, target: Uint8Array) => Promise<void>,
): ByteSource {
  return {
    size,
    async read(offset, length) {
      checkRange(offset, length, size);
      const bytes = new Uint8Array(length);
      await fill(offset, bytes);
      return bytes;
    },
    async readInto(offset, target) {
      checkRange(offset, target.byteLength, size);
      await fill(offset, target);
    },
  };
}

/** Puts the bytes of a source from `offset` on into all of `target`, whether or not the source can do so itself. */
export async function readInto(source: ByteSource, offset: number, target: Uint8Array): Promise<void> {
  if (source.readInto) await source.readInto(offset, target);
  else target.set(await source.read(offset, target.byteLength));
}

/** @throws RangeError when [offset, offset + length) is not inside a source of this size. */
export function checkRange(offset: number, length: number, size: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new RangeError(`bytes ${offset}..${offset + length} lie outside a source of ${size}`);
  }
}

/** Number of bytes, whether they are at hand or not. */
export function byteLength(bytes: Bytes): number {
  return bytes instanceof Uint8Array ? bytes.byteLength : bytes.length;
}

/** The bytes themselves, reading the span when they are not at hand. */
export async function load(bytes: Bytes): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  // R2 takes no empty ranges.
  return bytes.length === 0 ? new Uint8Array(0) : bytes.source.read(bytes.offset, bytes.length);
}

/** Puts the bytes into `target`, which is as long as they are. */
export async function loadInto(bytes: Bytes, target: Uint8Array): Promise<void> {
  if (bytes instanceof Uint8Array) target.set(bytes);
  else if (bytes.length > 0) await readInto(bytes.source, bytes.offset, target);
}

/** All of a source in memory. */
export function wholeOf(source: ByteSource): Promise<Uint8Array> {
  return load({ source, offset: 0, length: source.size });
}

/** The parts one after the other as one source, which reads each where it lies. */
export function sourceOf(parts: readonly Bytes[]): ByteSource {
  const ends: number[] = [];
  let size = 0;
  for (const part of parts) {
    size += byteLength(part);
    ends.push(size);
  }
  return filledSource(size, async (offset, target) => {
    let at = 0;
    for (let i = firstAbove(ends, offset); at < target.byteLength; i++) {
      const part = parts[i]!;
      const length = byteLength(part);
      const from = offset + at - (ends[i]! - length);
      const to = Math.min(length, from + target.byteLength - at);
      await loadInto(slice(part, from, to), target.subarray(at, at + to - from));
      at += to - from;
    }
  });
}

/** The parts one after the other, as one range; parts that have not been read stay so. */
export function concatenated(parts: readonly Bytes[]): Bytes {
  const first = parts[0];
  if (first !== undefined && parts.length === 1) return first;
  const size = parts.reduce((sum, part) => sum + byteLength(part), 0);
  if (parts.every((part) => part instanceof Uint8Array)) return joined(parts, size);
  return { source: sourceOf(parts), offset: 0, length: size };
}

/** Index of the first of rising numbers that is larger than `limit`, by bisection. */
function firstAbove(rising: readonly number[], limit: number): number {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle]! > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The part [from, to) of a range. */
export function slice(bytes: Bytes, from: number, to: number): Bytes {
  return bytes instanceof Uint8Array
    ? bytes.subarray(from, to)
    : { source: bytes.source, offset: bytes.offset + from, length: to - from };
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
