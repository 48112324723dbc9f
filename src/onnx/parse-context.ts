import { ModelError } from "./errors.ts";
import { BLOB_BYTES, WireType } from "./fields.ts";
import { ORIGIN, type Origin, type UnknownField } from "./model.ts";
import type { ByteSource, Bytes } from "./source.ts";
import type { Fields } from "./wire.ts";

export interface ParseContext {
  /** The file; origins and unread payloads are spans of it. */
  readonly source: ByteSource;
  readonly external: ReadonlyMap<string, ByteSource>;
  readonly allowMissingExternal: boolean;
}

/** The payload of the current field: at hand when it is small, a span of the file when not. */
export function payloadOf(fields: Fields, context: ParseContext): Bytes {
  fields.expect(WireType.BYTES);
  return fields.length > BLOB_BYTES
    ? { source: context.source, offset: fields.payload, length: fields.length }
    : fields.bytes();
}

/** Collects the fields that are kept without being read. */
export class Kept {
  fields: UnknownField[] | undefined;
  private readonly context: ParseContext;

  constructor(context: ParseContext) {
    this.context = context;
  }

  add(field: Fields): void {
    this.fields ??= [];
    const length = field.end - field.start;
    const encoded: Bytes =
      field.wireType === WireType.BYTES && field.length > BLOB_BYTES
        ? { source: this.context.source, offset: field.start, length }
        : field.encoded();
    this.fields.push({ number: field.number, encoded });
  }
}

/**
 * Pins the encoded bytes of the message that `fields` walked to the object made from it; not where the message
 * holds a tensor with external data: a written model is one file, so it cannot be written as it came.
 */
export function pinned<T extends { readonly [ORIGIN]?: Origin }>(
  object: T,
  fields: Fields,
  context: ParseContext,
): T {
  if (fields.tally.externalTensors > fields.externalTensorsBefore) return object;
  const origin: Origin = {
    source: context.source,
    offset: fields.messageStart,
    length: fields.messageEnd - fields.messageStart,
    fieldNumber: fields.fieldNumber,
    fieldStart: fields.fieldStart,
  };
  return Object.defineProperty(object, ORIGIN, { value: origin });
}

/** @throws ModelError when a field that can stand only once comes again. */
export function once(before: unknown, fields: Fields): void {
  if (before !== undefined) {
    throw new ModelError(
      "duplicate_field",
      `${fields.name} has field ${fields.number} twice; Hone does not merge messages, export the model again`,
    );
  }
}
