import { FailedError } from "./errors.ts";

const BLOCK = 512;
const encoder = new TextEncoder();

/** A tar (POSIX ustar) of the files, by reference: nothing is read until the blob is. */
export function tarOf(files: readonly { name: string; content: Blob }[]): Blob {
  const parts: (Blob | Uint8Array<ArrayBuffer>)[] = [];
  for (const { name, content } of files) {
    parts.push(header(name, content.size), content);
    const rest = content.size % BLOCK;
    if (rest > 0) parts.push(new Uint8Array(BLOCK - rest));
  }
  // Two empty blocks end the archive.
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts);
}

function header(name: string, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK);
  const write = (offset: number, text: string) => bytes.set(encoder.encode(text), offset);
  const octal = (offset: number, width: number, value: number) =>
    write(offset, value.toString(8).padStart(width - 1, "0"));
  if (encoder.encode(name).byteLength > 100) {
    throw new FailedError("external_data", `the name ${name} is too long for a tar: 100 bytes fit`);
  }
  write(0, name);
  octal(100, 8, 0o644);
  octal(108, 8, 0);
  octal(116, 8, 0);
  if (size < 8 ** 11) octal(124, 12, size);
  else base256(bytes, 124, 12, size);
  octal(136, 12, 0);
  write(148, "        ");
  write(156, "0");
  write(257, "ustar\u000000");
  octal(
    148,
    7,
    bytes.reduce((sum, byte) => sum + byte, 0),
  );
  bytes[154] = 0;
  return bytes;
}

/** GNU's form for sizes of 8 GB and more. */
function base256(bytes: Uint8Array, offset: number, width: number, value: number): void {
  let rest = value;
  for (let i = offset + width - 1; i > offset; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[offset] = 0x80;
}
