/** 4-bit and 2-bit types: several elements a byte, the first in the lowest bits. */

/** One element an entry, sign-extended where the type is signed. */
export function unpackedBits(
  packed: Uint8Array,
  bits: number,
  elements: number,
  signed: boolean,
): Uint8Array<ArrayBuffer> {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const half = 2 ** (bits - 1);
  const unpacked = new Uint8Array(elements);
  for (let i = 0; i < elements; i++) {
    const value = (packed[Math.floor(i / perByte)]! >>> ((i % perByte) * bits)) & mask;
    unpacked[i] = signed && value >= half ? value - 2 * half : value;
  }
  return unpacked;
}

/** The inverse; the last byte is filled up with zeros. */
export function packedBits(unpacked: Uint8Array, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const packed = new Uint8Array(Math.ceil(unpacked.length / perByte));
  for (let i = 0; i < unpacked.length; i++) {
    packed[Math.floor(i / perByte)]! |= (unpacked[i]! & mask) << ((i % perByte) * bits);
  }
  return packed;
}
