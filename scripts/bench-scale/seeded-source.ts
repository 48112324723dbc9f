import { type ByteSource, checkRange } from "../../src/onnx/source.ts";

const FLOAT_BYTES = 4;

/**
 * Float32 numbers that are made when they are read, the same at every reading: each from its place and the seed, bell shaped
 * with the given standard deviation. Models of any size need no disk.
 *
 * @param count of numbers
 */
export function seededSource(seed: number, count: number, deviation: number): ByteSource {
  const size = count * FLOAT_BYTES;
  // The sum of four bytes of one hash: variance 4·(256² − 1)/12.
  const step = deviation / Math.sqrt((256 ** 2 - 1) / 3);
  return {
    size,
    async read(offset, length) {
      checkRange(offset, length, size);
      const first = Math.floor(offset / FLOAT_BYTES);
      const end = Math.ceil((offset + length) / FLOAT_BYTES);
      const numbers = new Float32Array(end - first);
      for (let i = 0; i < numbers.length; i++) {
        let hash = Math.imul(first + i, 0x9e3779b1) ^ seed;
        hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
        hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
        hash ^= hash >>> 15;
        const sum = (hash & 255) + ((hash >>> 8) & 255) + ((hash >>> 16) & 255) + (hash >>> 24);
        numbers[i] = (sum - 510) * step;
      }
      return new Uint8Array(numbers.buffer, offset - first * FLOAT_BYTES, length);
    },
  };
}
