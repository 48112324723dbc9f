/**
 * Frees the memory of arrays at once, whose owner reads them no more: a collector lets large ones lie about for a long time. They are
 * empty then, and so is everything that shares their buffer.
 * @param kept buffers that somebody else still reads
 */
export function free(arrays: Iterable<Float32Array>, kept: ReadonlySet<ArrayBufferLike>): void {
  for (const { buffer } of arrays) {
    if (buffer instanceof ArrayBuffer && !buffer.detached && !kept.has(buffer)) buffer.transfer(0);
  }
}
