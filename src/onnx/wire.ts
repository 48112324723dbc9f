import { ModelError } from "./errors.ts";
import { MAX_DEPTH, WireType } from "./fields.ts";

/** Bytes of a file by their offsets in the file; a field never straddles two runs. */
export interface Run {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Answers the run that holds the field at a file offset. */
export interface Runs {
  readonly fileSize: number;
  runAt(offset: number): Run;
}

export interface Tally {
  /** Fields and packed numbers, and 16 for each message, that may still come: a small hostile file must not become a huge object graph. */
  items: number;
  /** Tensors with external data seen so far. */
  externalTensors: number;
}

/** No field header (tag and length or varint value) is longer than this. */
export const MAX_HEADER_BYTES = 20;

/** What a message costs of the items: its object is that much larger than a number. */
const MESSAGE_ITEMS = 16;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Walks the fields of one message: `while (fields.next()) switch (fields.number) …`. */
export class Fields {
  /** Of the current field: its number and wire type. */
  number = 0;
  wireType = 0;
  /** File offsets of the current field: of its tag, of its payload, and past its payload. */
  start = 0;
  payload = 0;
  end: number;
  readonly depth: number;
  readonly runs: Runs;
  readonly tally: Tally;
  /** What the message is, for error messages: "a node". */
  readonly name: string;
  /** Offset of the message, and number and offset of the field that it is the payload of. */
  readonly messageStart: number;
  readonly fieldNumber: number | undefined;
  readonly fieldStart: number | undefined;
  readonly externalTensorsBefore: number;
  private readonly limit: number;
  private run: Run;
  private valueStart = 0;
  private low = 0;
  private high = 0;

  constructor(runs: Runs, start: number, limit: number, tally: Tally, name: string, parent?: Fields) {
    const depth = parent === undefined ? 0 : parent.depth + 1;
    if (depth > MAX_DEPTH) {
      throw new ModelError(
        "nesting_too_deep",
        `messages are nested deeper than ${MAX_DEPTH} levels, more than protobuf allows; flatten the subgraphs`,
      );
    }
    spend(tally, MESSAGE_ITEMS);
    this.runs = runs;
    this.messageStart = start;
    this.fieldNumber = parent?.number;
    this.fieldStart = parent?.start;
    this.externalTensorsBefore = tally.externalTensors;
    this.limit = limit;
    this.end = start;
    this.tally = tally;
    this.name = name;
    this.depth = depth;
    this.run = start < limit ? runs.runAt(start) : { start, bytes: new Uint8Array(0) };
  }

  get messageEnd(): number {
    return this.limit;
  }

  get done(): boolean {
    return this.end >= this.limit;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.end >= this.limit) return false;
    spend(this.tally, 1);
    this.start = this.end;
    if (this.start < this.run.start || this.start >= this.run.start + this.run.bytes.length) {
      this.run = this.runs.runAt(this.start);
    }
    this.payload = this.start;
    this.varint();
    const number = this.high * 2 ** 29 + (this.low >>> 3);
    this.wireType = this.low & 7;
    if (number <= 0 || number >= 2 ** 29) throw this.malformed(`has a field numbered ${number}`);
    this.number = number;
    this.valueStart = this.payload;
    switch (this.wireType) {
      case WireType.VARINT:
        this.varint();
        this.end = this.payload;
        break;
      case WireType.FIXED64:
        this.advance(8);
        break;
      case WireType.FIXED32:
        this.advance(4);
        break;
      case WireType.BYTES:
        this.varint();
        this.advance((this.high >>> 0) * 2 ** 32 + (this.low >>> 0));
        break;
      default:
        throw this.malformed(`has a field of wire type ${this.wireType}, which ONNX does not use`);
    }
    return true;
  }

  /** Bytes of the current length-delimited field. */
  get length(): number {
    return this.end - this.payload;
  }

  /** The payload of the current field, which the skeleton has to hold. */
  bytes(): Uint8Array {
    this.expect(WireType.BYTES);
    return this.slice(this.payload, this.end);
  }

  /** The current number, fixed width or varint, as it is encoded. */
  value(): Uint8Array {
    return this.slice(this.valueStart, this.end);
  }

  /** The current field as it is encoded, tag included. */
  encoded(): Uint8Array {
    return this.slice(this.start, this.end);
  }

  int(): number {
    this.expect(WireType.VARINT);
    return this.high * 2 ** 32 + (this.low >>> 0);
  }

  int32(): number {
    this.expect(WireType.VARINT);
    return this.low;
  }

  float(): number {
    this.expect(WireType.FIXED32);
    return view(this.slice(this.payload, this.end)).getFloat32(0, true);
  }

  string(): string {
    const bytes = this.bytes();
    const text = decodeUtf8(bytes);
    if (text === null) {
      throw new ModelError(
        "invalid_utf8",
        `${this.name} has text in field ${this.number} that is not UTF-8; export the model again`,
      );
    }
    return text;
  }

  /** Appends the integers of the current field, packed or not. */
  ints(into: number[]): void {
    if (this.wireType === WireType.VARINT) {
      into.push(this.int());
      return;
    }
    const bytes = this.bytes();
    let at = 0;
    while (at < bytes.length) {
      spend(this.tally, 1);
      const [value, next] = varintAt(bytes, at) ?? this.badPacked();
      into.push(value);
      at = next;
    }
  }

  /** Appends the floats of the current field, packed or not. */
  floats(into: number[]): void {
    if (this.wireType === WireType.FIXED32) {
      into.push(this.float());
      return;
    }
    const bytes = this.bytes();
    if (bytes.length % 4 !== 0) this.badPacked();
    spend(this.tally, bytes.length / 4);
    const floats = view(bytes);
    for (let at = 0; at < bytes.length; at += 4) into.push(floats.getFloat32(at, true));
  }

  /** The fields of the message in the current field. */
  message(name: string): Fields {
    this.expect(WireType.BYTES);
    return new Fields(this.runs, this.payload, this.end, this.tally, name, this);
  }

  expect(wireType: number): void {
    if (this.wireType !== wireType) {
      throw new ModelError(
        "wrong_wire_type",
        `${this.name} has field ${this.number} with wire type ${this.wireType} instead of ${wireType}; the file is damaged or is not ONNX`,
      );
    }
  }

  private slice(start: number, end: number): Uint8Array {
    const from = start - this.run.start;
    return this.run.bytes.subarray(from, from + (end - start));
  }

  private advance(length: number): void {
    this.end = this.payload + length;
    if (this.end <= this.limit) return;
    if (this.depth === 0) throw this.truncated();
    throw new ModelError(
      "length_out_of_bounds",
      `${this.name} has field ${this.number} of ${length} bytes, past the end of its message; the file is damaged`,
    );
  }

  /** Reads a varint at `payload` into low and high, both signed 32-bit. */
  private varint(): void {
    const { bytes, start } = this.run;
    let at = this.payload - start;
    const stop = Math.min(this.limit - start, bytes.length);
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= stop) throw this.depth === 0 ? this.truncated() : this.cutVarint();
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low;
        this.high = high;
        this.payload = start + at;
        return;
      }
    }
    throw this.malformed("has a varint longer than 10 bytes");
  }

  private badPacked(): never {
    throw this.malformed(`has field ${this.number} with numbers that are cut off`);
  }

  private cutVarint(): ModelError {
    return new ModelError(
      "length_out_of_bounds",
      `${this.name} ends in the middle of a field; the file is damaged`,
    );
  }

  private truncated(): ModelError {
    return new ModelError(
      "truncated",
      `the file ends after ${this.runs.fileSize} bytes in the middle of ${this.name}; upload the whole file`,
    );
  }

  private malformed(what: string): ModelError {
    return new ModelError(
      "malformed_field",
      `${this.name} ${what}, near byte ${this.start}; the file is damaged or is not ONNX`,
    );
  }
}

/** Text of UTF-8 bytes, or null when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  if (bytes.length <= 64) {
    let ascii = true;
    for (let i = 0; i < bytes.length && ascii; i++) ascii = bytes[i]! < 0x80;
    if (ascii) return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/** The signed integer at `at` and the offset after it; null when it is cut off or too long. */
export function varintAt(bytes: Uint8Array, at: number): [value: number, next: number] | null {
  let low = 0;
  let high = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined) return null;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high |= bits >>> 4;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) return [high * 2 ** 32 + (low >>> 0), at];
  }
  return null;
}

export function spend(tally: Tally, items: number): void {
  tally.items -= items;
  if (tally.items < 0) {
    throw new ModelError(
      "too_many_items",
      "the model has more nodes, attributes and other fields than Hone accepts; split it into several models",
    );
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
