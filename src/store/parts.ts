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
 * Reads a range of a file in parts, one part after the other, so that no more than one is held beside the result.
 * @param read reads a range of a part, by its number from 1
 */
export async function readParts(
  { partBytes }: PartedFile,
  offset: number,
  length: number,
  read: (part: number, offset: number, length: number) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const part = Math.floor(offset / partBytes);
  const inPart = offset - part * partBytes;
  if (inPart + length <= partBytes) return read(part + 1, inPart, length);
  const whole = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const next = Math.floor((offset + at) / partBytes);
    const from = offset + at - next * partBytes;
    const bytes = await read(next + 1, from, Math.min(partBytes - from, length - at));
    whole.set(bytes, at);
    at += bytes.byteLength;
  }
  return whole;
}
