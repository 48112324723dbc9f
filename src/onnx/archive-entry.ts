import { ModelError } from "./errors.ts";
import type { ByteSource } from "./source.ts";

export interface ArchiveEntry {
  /** Path inside the archive, with / between folders. */
  readonly path: string;
  readonly source: ByteSource;
}

export interface ArchiveLimits {
  readonly entries: number;
  /** Bytes of all entries together, unpacked. */
  readonly unpackedBytes: number;
}

export function malformedArchive(what: string): ModelError {
  return new ModelError(
    "archive_malformed",
    `the archive ${what}; it is damaged or incomplete, pack it again`,
  );
}

export function unsupportedArchive(what: string): ModelError {
  return new ModelError(
    "archive_unsupported",
    `the archive ${what}; pack the files plainly, as zip (stored or deflated) or tar`,
  );
}

/** Counts entries and their unpacked bytes against the limits. */
export function admitEntry(
  total: { entries: number; bytes: number },
  size: number,
  limits: ArchiveLimits,
): void {
  total.entries++;
  total.bytes += size;
  if (total.entries > limits.entries || total.bytes > limits.unpackedBytes) {
    throw new ModelError(
      "archive_too_large",
      `the archive has more than ${limits.entries} entries or ${limits.unpackedBytes} bytes unpacked; upload only the model and its external data`,
    );
  }
}
