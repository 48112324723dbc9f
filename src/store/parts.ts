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

/** A range of one part. */
export interface Piece {
  /** Its number from 1. */
  readonly part: number;
  /** In the part, bytes. */
  readonly offset: number;
  readonly length: number;
}

/** What a range of a file is of its parts, in order. */
export function* piecesOf({ partBytes }: PartedFile, offset: number, length: number): Generator<Piece> {
  for (let at = offset; at < offset + length; ) {
    const part = Math.floor(at / partBytes);
    const from = at - part * partBytes;
    const taken = Math.min(partBytes - from, offset + length - at);
    yield { part: part + 1, offset: from, length: taken };
    at += taken;
  }
}
