import { TypeField } from "./fields.ts";
import type { Dim, ValueType } from "./model.ts";
import { Kept, type ParseContext, pinned } from "./parse-context.ts";
import type { Fields } from "./wire.ts";

/** Reads a TypeProto. A kind that is not known here is opaque, and all of it is kept. */
export function parseType(fields: Fields, context: ParseContext): ValueType {
  let type: ValueType | undefined;
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case TypeField.tensor:
        type = { kind: "tensor", ...parseTensorType(fields.message("a tensor type")) };
        break;
      case TypeField.sparseTensor:
        type = { kind: "sparse_tensor", ...parseTensorType(fields.message("a sparse tensor type")) };
        break;
      case TypeField.sequence:
        type = { kind: "sequence", element: parseElement(fields.message("a sequence type"), context) };
        break;
      case TypeField.optional:
        type = { kind: "optional", element: parseElement(fields.message("an optional type"), context) };
        break;
      case TypeField.map:
        type = parseMap(fields.message("a map type"), context);
        break;
      default:
        kept.add(fields);
    }
  }
  return pinned({ ...(type ?? { kind: "opaque" }), unknown: kept.fields }, fields, context);
}

function parseTensorType(fields: Fields): { dataType: number; shape?: readonly Dim[] } {
  let dataType = 0;
  let shape: Dim[] | undefined;
  while (fields.next()) {
    if (fields.number === 1) dataType = fields.int32();
    else if (fields.number === 2) {
      shape ??= [];
      const dims = fields.message("a shape");
      while (dims.next()) if (dims.number === 1) shape.push(parseDim(dims.message("a dimension")));
    }
  }
  return { dataType, shape };
}

function parseDim(fields: Fields): Dim {
  let dim: Dim = null;
  while (fields.next()) {
    if (fields.number === 1) dim = fields.int();
    else if (fields.number === 2) dim = fields.string() || null;
  }
  return dim;
}

function parseElement(fields: Fields, context: ParseContext): ValueType {
  let element: ValueType = { kind: "opaque" };
  while (fields.next()) {
    if (fields.number === 1) element = parseType(fields.message("an element type"), context);
  }
  return element;
}

function parseMap(fields: Fields, context: ParseContext): ValueType {
  let keyType = 0;
  let value: ValueType = { kind: "opaque" };
  while (fields.next()) {
    if (fields.number === 1) keyType = fields.int32();
    else if (fields.number === 2) value = parseType(fields.message("a map's value type"), context);
  }
  return { kind: "map", keyType, value };
}
