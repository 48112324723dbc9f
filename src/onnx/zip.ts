import {
  type ArchiveEntry,
  type ArchiveLimits,
  admitEntry,
  malformedArchive,
  unsupportedArchive,
} from "./archive-entry.ts";
import { inflatedSource } from "./inflated-source.ts";
import { type ByteSource, rangeSource } from "./source.ts";
import { decodeUtf8 } from "./wire.ts";

/** The zip format as in PKWARE's APPNOTE 6.3: central directory, zip64, stored and deflated entries. */

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const ZIP64_EXTRA = 1;
const UNKNOWN_32 = 0xffffffff;
const UNKNOWN_16 = 0xffff;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;

const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024;
/** Deflate cannot pack more than 1032 bytes into one. */
const DEFLATE_RATIO = 1032;

export function isZip(head: Uint8Array): boolean {
  return head.length >= 4 && [LOCAL, END].includes(viewOf(head).getUint32(0, true));
}

/**
 * Lists the files of a zip.
 * @throws ModelError `archive_…` when it is damaged, encrypted, past the limits or packed in another way.
 */
export async function zipEntries(source: ByteSource, limits: ArchiveLimits): Promise<ArchiveEntry[]> {
  const directory = await readDirectory(source);
  const total = { entries: 0, bytes: 0 };
  const found: Listed[] = [];
  for (const { size } of listedFiles(directory)) admitEntry(total, size, limits);
  for (const listed of listedFiles(directory)) {
    if ((listed.flags & ENCRYPTED) !== 0) throw unsupportedArchive(`has "${listed.path}" encrypted`);
    if (listed.method !== STORED && listed.method !== DEFLATED) {
      throw unsupportedArchive(`has "${listed.path}" packed by method ${listed.method}`);
    }
    const most = listed.method === STORED ? listed.packed : listed.packed * DEFLATE_RATIO;
    if (listed.size > most || (listed.method === STORED && listed.size !== listed.packed)) {
      throw malformedArchive(`states an impossible size for "${listed.path}"`);
    }
    if (!listed.path.endsWith("/")) found.push(listed);
  }
  const entries: ArchiveEntry[] = [];
  let free = 0;
  for (const listed of found.sort((a, b) => a.header - b.header)) {
    const start = await dataStart(source, listed);
    // Entries that share bytes are how small zips claim to hold petabytes.
    if (listed.header < free || start + listed.packed > source.size) {
      throw malformedArchive(`has "${listed.path}" outside its own place`);
    }
    free = start + listed.packed;
    const packed = rangeSource(source, start, listed.packed);
    entries.push({
      path: listed.path,
      source:
        listed.method === STORED ? packed : inflatedSource(packed, listed.size, listed.crc, listed.path),
    });
  }
  return entries;
}

interface Listed {
  readonly path: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  /** Offset of the local header. */
  readonly header: number;
}

async function readDirectory(source: ByteSource): Promise<Uint8Array> {
  const tailStart = Math.max(0, source.size - END_BYTES - LONGEST_COMMENT);
  const tail = viewOf(await source.read(tailStart, source.size - tailStart));
  let end = tail.byteLength - END_BYTES;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw malformedArchive("has no zip directory");
  let size = tail.getUint32(end + 12, true);
  let offset = tail.getUint32(end + 16, true);
  const zip64 = tail.getUint16(end + 10, true) === UNKNOWN_16 || size === UNKNOWN_32 || offset === UNKNOWN_32;
  if (zip64 && end >= 20 && tail.getUint32(end - 20, true) === END64_LOCATOR) {
    const at = uint64(tail, end - 12);
    if (!(at + 56 <= source.size)) throw malformedArchive("has its zip64 directory past its end");
    const end64 = viewOf(await source.read(at, 56));
    if (end64.getUint32(0, true) !== END64) throw malformedArchive("has no zip64 directory where it says");
    size = uint64(end64, 40);
    offset = uint64(end64, 48);
  }
  if (!(offset + size <= source.size)) throw malformedArchive("has its directory past its end");
  if (size > MAX_DIRECTORY_BYTES) throw malformedArchive(`has a directory of ${size} bytes`);
  return source.read(offset, size);
}

function* listedFiles(directory: Uint8Array): Generator<Listed> {
  const view = viewOf(directory);
  for (let at = 0; at < directory.length; ) {
    if (at + 46 > directory.length || view.getUint32(at, true) !== CENTRAL) {
      throw malformedArchive("has a damaged directory");
    }
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > directory.length) throw malformedArchive("has a damaged directory");
    const path = decodeUtf8(directory.subarray(at + 46, nameEnd));
    if (path === null) throw malformedArchive("has a name that is not UTF-8");
    const sizes = [
      view.getUint32(at + 24, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 42, true),
    ] as const;
    const [size, packed, header] = widened(sizes, viewOf(directory.subarray(nameEnd, extraEnd)));
    yield {
      path,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed,
      size,
      header,
    };
    at = next;
  }
}

/** Replaces sizes that do not fit 32 bits by those of the zip64 extra field, where they stand in this order. */
function widened(sizes: readonly [number, number, number], extra: DataView): [number, number, number] {
  if (!sizes.includes(UNKNOWN_32)) return [...sizes];
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const end = at + 4 + extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) === ZIP64_EXTRA && end <= extra.byteLength) {
      let field = at + 4;
      const wide = sizes.map((size) => {
        if (size !== UNKNOWN_32) return size;
        if (field + 8 > end) throw malformedArchive("has a damaged zip64 field");
        field += 8;
        return uint64(extra, field - 8);
      });
      return [wide[0]!, wide[1]!, wide[2]!];
    }
    at = end;
  }
  throw malformedArchive("lacks a zip64 field");
}

async function dataStart(source: ByteSource, { header, path }: Listed): Promise<number> {
  if (!(header + 30 <= source.size)) throw malformedArchive(`has "${path}" past its end`);
  const local = viewOf(await source.read(header, 30));
  if (local.getUint32(0, true) !== LOCAL) throw malformedArchive(`has no entry "${path}" where it says`);
  return header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
}

function uint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
