/**
 * Frees the memory of arrays at once, which nobody reads any more: a collector lets large ones lie about for a long time. They are
 * empty then, and so is everything that shares their buffer.
 */
export function free(...arrays: readonly ArrayBufferView[]): void {
  for (const { buffer } of arrays) if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}
