/**
 * A file in parts: each lies in an object of its own, all but the last of the same size, and an empty object under the file's key
 * says in its metadata how they make up the file. So a large file is never assembled.
 */
export interface PartedFile {
  readonly bytes: number;
  /** Of every part but the last. */
  readonly partBytes: number;
}

const FIELD = "parts";

/** What the object under the file's key says of the parts. */
export function partsMetadata({ bytes, partBytes }: PartedFile): Record<string, string> {
  return { [FIELD]: JSON.stringify({ bytes, partBytes }) };
}

/** The file that an object's metadata tells of; null where the object is the file itself. */
export function partedFile(metadata: Readonly<Record<string, string>> | undefined): PartedFile | null {
  const said = metadata?.[FIELD];
  return said === undefined ? null : (JSON.parse(said) as PartedFile);
}

/**
 * Reads a range of a file in parts, one part after the other, so that nothing is held beside the result.
 * @param target takes the range, which is as long
 * @param read reads a range of a part, by its number from 1
 */
export async function readParts(
  { partBytes }: PartedFile,
  offset: number,
  target: Uint8Array,
  read: (part: number, offset: number, target: Uint8Array) => Promise<void>,
): Promise<void> {
  const length = target.byteLength;
  for (let at = 0; at < length; ) {
    const part = Math.floor((offset + at) / partBytes);
    const from = offset + at - part * partBytes;
    const count = Math.min(partBytes - from, length - at);
    await read(part + 1, from, target.subarray(at, at + count));
    at += count;
  }
}
