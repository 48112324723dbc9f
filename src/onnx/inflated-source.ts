import { Inflate } from "fflate";
import { malformedArchive } from "./archive-entry.ts";
import { type ByteSource, filledSource } from "./source.ts";

/** Bounds what one step can inflate to: 16 KiB of deflate are at most 16.5 MiB. */
const STEP_BYTES = 16 * 1024;

/**
 * A deflated entry as a source of its unpacked bytes. Reading goes forward cheaply, in bounded memory; going back
 * inflates from the start again. Size and CRC-32 are checked when the end is reached.
 * @throws ModelError `archive_malformed`, from `read`.
 */
export function inflatedSource(packed: ByteSource, size: number, crc: number, path: string): ByteSource {
  let stream = new InflateStream(packed, size, crc, path);
  let turn: Promise<unknown> = Promise.resolve();
  return filledSource(size, (offset, target) => {
    // One read at a time: they share the stream.
    const answer = turn.then(async () => {
      if (offset < stream.position) stream = new InflateStream(packed, size, crc, path);
      await stream.skipTo(offset);
      await stream.fill(target);
    });
    turn = answer.catch(() => undefined);
    return answer;
  });
}

class InflateStream {
  /** Offset of the next unpacked byte that `fill` takes. */
  position = 0;
  private readonly packed: ByteSource;
  private readonly size: number;
  private readonly crc: number;
  private readonly path: string;
  private readonly inflate = new Inflate();
  private readonly ready: Uint8Array[] = [];
  private readAt = 0;
  private made = 0;
  private checksum = 0xffffffff;

  constructor(packed: ByteSource, size: number, crc: number, path: string) {
    this.packed = packed;
    this.size = size;
    this.crc = crc;
    this.path = path;
    this.inflate.ondata = (chunk) => {
      this.made += chunk.length;
      this.checksum = crc32(this.checksum, chunk);
      if (chunk.length > 0) this.ready.push(chunk);
    };
  }

  async skipTo(offset: number): Promise<void> {
    while (this.position < offset) {
      const chunk = await this.next();
      const skipped = Math.min(offset - this.position, chunk.length);
      this.position += skipped;
      if (skipped < chunk.length) this.ready.unshift(chunk.subarray(skipped));
    }
  }

  async fill(target: Uint8Array): Promise<void> {
    for (let at = 0; at < target.length; ) {
      const chunk = await this.next();
      const taken = Math.min(target.length - at, chunk.length);
      target.set(chunk.subarray(0, taken), at);
      at += taken;
      if (taken < chunk.length) this.ready.unshift(chunk.subarray(taken));
    }
    this.position += target.length;
  }

  private async next(): Promise<Uint8Array> {
    for (;;) {
      const chunk = this.ready.shift();
      if (chunk !== undefined) return chunk;
      await this.step();
    }
  }

  /** Inflates the next piece of the entry. */
  private async step(): Promise<void> {
    const length = Math.min(STEP_BYTES, this.packed.size - this.readAt);
    if (length === 0) throw malformedArchive(`holds fewer bytes of "${this.path}" than it states`);
    const bytes = await this.packed.read(this.readAt, length);
    this.readAt += length;
    const last = this.readAt === this.packed.size;
    try {
      this.inflate.push(bytes, last);
    } catch {
      throw malformedArchive(`has "${this.path}" damaged`);
    }
    const wrong = last ? this.made !== this.size || ~this.checksum >>> 0 !== this.crc : this.made > this.size;
    if (wrong) throw malformedArchive(`has "${this.path}" with another size or checksum than it states`);
  }
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(checksum: number, bytes: Uint8Array): number {
  let value = checksum;
  for (const byte of bytes) value = (value >>> 8) ^ CRC_TABLE[(value ^ byte) & 0xff]!;
  return value;
}
