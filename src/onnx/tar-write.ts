const BLOCK = 512;
const UTF8 = new TextEncoder();

/** Bytes of a name that a POSIX header holds. */
export const MOST_NAME_BYTES = 100;

/** Two empty blocks end a tar. */
export const TAR_END_BYTES = 2 * BLOCK;

/**
 * The header of a file in a tar (POSIX ustar, with GNU's form for sizes of 8 GB and more).
 * @throws RangeError where the name is too long
 */
export function tarHeader(name: string, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK);
  const write = (offset: number, text: string) => bytes.set(UTF8.encode(text), offset);
  const octal = (offset: number, width: number, value: number) =>
    write(offset, value.toString(8).padStart(width - 1, "0"));
  if (UTF8.encode(name).byteLength > MOST_NAME_BYTES) {
    throw new RangeError(`the name ${name} is too long for a tar: ${MOST_NAME_BYTES} bytes fit`);
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

/** Zeros that fill a file's last block. */
export function tarPadding(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

function base256(bytes: Uint8Array, offset: number, width: number, value: number): void {
  let rest = value;
  for (let i = offset + width - 1; i > offset; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[offset] = 0x80;
}
