import {
  type ArchiveEntry,
  type ArchiveLimits,
  admitEntry,
  malformedArchive,
  unsupportedArchive,
} from "./archive-entry.ts";
import { type ByteSource, rangeSource } from "./source.ts";
import { decodeUtf8 } from "./wire.ts";

/** POSIX ustar with the pax and GNU extensions for long names and large files. */

const BLOCK = 512;
const MAX_EXTENSION_BYTES = 64 * 1024;
const FILE = new Set(["0", "\0", "7"]);
const DIRECTORY = "5";
const PAX = "x";
const PAX_GLOBAL = "g";
const GNU_LONG_NAME = "L";

export function isTar(head: Uint8Array): boolean {
  return head.length === BLOCK && String.fromCharCode(...head.subarray(257, 262)) === "ustar";
}

/**
 * Lists the files of a tar.
 * @throws ModelError `archive_…` when it is damaged, past the limits or holds links.
 */
export async function tarEntries(source: ByteSource, limits: ArchiveLimits): Promise<ArchiveEntry[]> {
  const entries: ArchiveEntry[] = [];
  const total = { entries: 0, bytes: 0 };
  let extension = new Map<string, string>();
  for (let at = 0; at + BLOCK <= source.size; ) {
    const header = await source.read(at, BLOCK);
    if (header.every((byte) => byte === 0)) return entries;
    if (!checksumFits(header)) throw malformedArchive(`has a damaged header at byte ${at}`);
    const kind = text(header, 156, 1) || "\0";
    const ownSize = sizeIn(header);
    const isExtension = kind === PAX || kind === PAX_GLOBAL || kind === GNU_LONG_NAME;
    const size = isExtension ? ownSize : Number(extension.get("size") ?? ownSize);
    const data = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || data + size > source.size) {
      throw malformedArchive("ends in the middle of an entry");
    }
    admitEntry(total, size, limits);
    at = data + Math.ceil(size / BLOCK) * BLOCK;
    if (isExtension) {
      if (size > MAX_EXTENSION_BYTES) throw malformedArchive("has an extension header that is too long");
      const bytes = await source.read(data, size);
      if (kind === PAX) for (const [key, value] of paxRecords(bytes)) extension.set(key, value);
      else if (kind === GNU_LONG_NAME) extension.set("path", utf8(bytes).replace(/\0+$/, ""));
      continue;
    }
    const path = (extension.get("path") ?? headerPath(header)).replace(/^(\.\/)+/, "");
    extension = new Map();
    if (kind === DIRECTORY || path === "" || path.endsWith("/")) continue;
    if (!FILE.has(kind)) throw unsupportedArchive(`has "${path}", which is a link or a special file`);
    entries.push({ path, source: rangeSource(source, data, size) });
  }
  throw malformedArchive("has no end mark");
}

function headerPath(header: Uint8Array): string {
  const name = text(header, 0, 100);
  // GNU's own format ("ustar  ") has other fields where POSIX has the prefix.
  const prefix = text(header, 257, 8) === "ustar" ? text(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Octal digits, or, with the high bit set, a big-endian number. */
function sizeIn(header: Uint8Array): number {
  if ((header[124]! & 0x80) === 0) {
    const digits = text(header, 124, 12).trim();
    if (!/^[0-7]*$/.test(digits)) throw malformedArchive("has a size that is not a number");
    return digits === "" ? 0 : Number.parseInt(digits, 8);
  }
  let size = header[124]! & 0x7f;
  for (let i = 125; i < 136; i++) size = size * 256 + header[i]!;
  return size;
}

/** "LENGTH KEY=VALUE\n" records. */
function* paxRecords(bytes: Uint8Array): Generator<[string, string]> {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(utf8(bytes.subarray(at, space)));
    if (!Number.isInteger(length) || length <= space - at || at + length > bytes.length) {
      throw malformedArchive("has a damaged extension header");
    }
    const record = utf8(bytes.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    yield [record.slice(0, equals), record.slice(equals + 1)];
    at += length;
  }
}

/** The header's sum, with spaces in place of the sum itself. */
function checksumFits(header: Uint8Array): boolean {
  let sum = 0;
  for (const [i, byte] of header.entries()) sum += i >= 148 && i < 156 ? 0x20 : byte;
  return sum === Number.parseInt(text(header, 148, 8).trim(), 8);
}

function text(header: Uint8Array, at: number, length: number): string {
  const bytes = header.subarray(at, at + length);
  const end = bytes.indexOf(0);
  return utf8(end < 0 ? bytes : bytes.subarray(0, end));
}

function utf8(bytes: Uint8Array): string {
  const decoded = decodeUtf8(bytes);
  if (decoded === null) throw malformedArchive("has a name that is not UTF-8");
  return decoded;
}
