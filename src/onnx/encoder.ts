import { WireType } from "./fields.ts";
import { type Bytes, byteLength, type Span } from "./source.ts";

const UTF8 = new TextEncoder();

/** Bytes up to this length are copied into the buffer instead of standing as a part of their own. */
const COPY_BYTES = 4096;

/** Builds one protobuf message as a list of parts: bytes at hand, and spans that are read when they are written out. */
export class Encoder {
  size = 0;
  private readonly parts: Bytes[] = [];
  private buffer = new Uint8Array(64);
  private used = 0;

  int(field: number, value: number): void {
    this.tag(field, WireType.VARINT);
    this.varint(value);
  }

  float(field: number, value: number): void {
    this.tag(field, WireType.FIXED32);
    this.floatValue(value);
  }

  string(field: number, text: string): void {
    this.bytes(field, UTF8.encode(text));
  }

  bytes(field: number, bytes: Bytes): void {
    this.tag(field, WireType.BYTES);
    this.varint(byteLength(bytes));
    this.raw(bytes);
  }

  /** A repeated int64; packed where that is shorter, which every protobuf parser accepts. */
  ints(field: number, values: readonly number[]): void {
    if (values.length > 2) {
      const packed = new Encoder();
      for (const value of values) packed.varint(value);
      this.message(field, packed);
    } else for (const value of values) this.int(field, value);
  }

  /** A repeated float; packed where that is shorter. */
  floats(field: number, values: readonly number[]): void {
    if (values.length > 2) {
      const packed = new Encoder();
      for (const value of values) packed.floatValue(value);
      this.message(field, packed);
    } else for (const value of values) this.float(field, value);
  }

  message(field: number, message: Encoder): void {
    this.tag(field, WireType.BYTES);
    this.varint(message.size);
    message.flush();
    for (const part of message.parts) this.raw(part);
  }

  /** Appends bytes as they are. */
  raw(bytes: Bytes): void {
    const length = byteLength(bytes);
    if (length === 0) return;
    if (bytes instanceof Uint8Array) {
      if (length <= COPY_BYTES) {
        this.reserve(length);
        this.buffer.set(bytes, this.used);
        this.used += length;
        this.size += length;
        return;
      }
      this.flush();
      this.parts.push(bytes);
      this.size += length;
      return;
    }
    this.flush();
    this.size += length;
    const last = this.parts.at(-1);
    if (isSpan(last) && last.source === bytes.source && last.offset + last.length === bytes.offset) {
      this.parts[this.parts.length - 1] = { ...last, length: last.length + length };
    } else this.parts.push({ source: bytes.source, offset: bytes.offset, length });
  }

  varint(value: number): void {
    this.reserve(10);
    if (Number.isSafeInteger(value) && value >= 0) {
      let rest = value;
      while (rest >= 0x80) {
        this.put((rest % 0x80) | 0x80);
        rest = Math.floor(rest / 0x80);
      }
      this.put(rest);
      return;
    }
    // Integers past 2^53 were rounded when they were read: INT64_MAX came as 2^63.
    const clamped = value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(Math.max(value, -(2 ** 63)));
    let rest = BigInt.asUintN(64, clamped);
    while (rest >= 0x80n) {
      this.put(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.put(Number(rest));
  }

  /** The parts so far, none of them empty. */
  finish(): readonly Bytes[] {
    this.flush();
    return this.parts;
  }

  /** A copy of the message where all of it is at hand. */
  bytesSoFar(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.finish()) {
      if (isSpan(part)) throw new TypeError("the message has parts that have not been read");
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  private tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  private floatValue(value: number): void {
    this.reserve(4);
    new DataView(this.buffer.buffer).setFloat32(this.used, value, true);
    this.used += 4;
    this.size += 4;
  }

  private put(byte: number): void {
    this.buffer[this.used++] = byte;
    this.size++;
  }

  private reserve(length: number): void {
    if (this.used + length <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.used + length));
    larger.set(this.buffer.subarray(0, this.used));
    this.buffer = larger;
  }

  private flush(): void {
    if (this.used === 0) return;
    this.parts.push(this.buffer.slice(0, this.used));
    this.used = 0;
  }
}

function isSpan(bytes: Bytes | undefined): bytes is Span {
  return bytes !== undefined && !(bytes instanceof Uint8Array);
}
