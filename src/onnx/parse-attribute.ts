import { ModelError } from "./errors.ts";
import { AttributeCode, AttributeField } from "./fields.ts";
import type { Attribute, AttributeValue, Graph, SparseTensor, Tensor, UnknownField } from "./model.ts";
import { Kept, once, type ParseContext, pinned } from "./parse-context.ts";
import { parseSparseTensor, parseTensor } from "./parse-tensor.ts";
import { decodeUtf8, type Fields } from "./wire.ts";

interface Payloads {
  float?: number;
  int?: number;
  string?: Uint8Array;
  tensor?: Tensor;
  graph?: Graph;
  sparse?: SparseTensor;
  readonly floats: number[];
  readonly ints: number[];
  readonly strings: Uint8Array[];
  readonly tensors: Tensor[];
  readonly graphs: Graph[];
}

/** Reads an AttributeProto; `parseGraph` is passed in because graphs hold attributes. */
export function parseAttribute(
  fields: Fields,
  context: ParseContext,
  parseGraph: (fields: Fields, context: ParseContext) => Graph,
): Attribute {
  let name = "";
  let refAttrName: string | undefined;
  let docString: string | undefined;
  let code = 0;
  const found: Payloads = { floats: [], ints: [], strings: [], tensors: [], graphs: [] };
  const texts: UnknownField[] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case AttributeField.name:
        name = fields.string();
        break;
      case AttributeField.refAttrName:
        refAttrName = fields.string();
        break;
      case AttributeField.docString:
        docString = fields.string();
        break;
      case AttributeField.type:
        code = fields.int32();
        break;
      case AttributeField.float:
        found.float = fields.float();
        break;
      case AttributeField.int:
        found.int = fields.int();
        break;
      case AttributeField.string:
        found.string = fields.bytes();
        texts.push({ number: fields.number, encoded: fields.encoded() });
        break;
      case AttributeField.tensor:
        once(found.tensor, fields);
        found.tensor = parseTensor(fields.message("an attribute's tensor"), context);
        break;
      case AttributeField.graph:
        once(found.graph, fields);
        found.graph = parseGraph(fields.message("a subgraph"), context);
        break;
      case AttributeField.sparseTensor:
        once(found.sparse, fields);
        found.sparse = parseSparseTensor(fields.message("an attribute's sparse tensor"), context);
        break;
      case AttributeField.floats:
        fields.floats(found.floats);
        break;
      case AttributeField.ints:
        fields.ints(found.ints);
        break;
      case AttributeField.strings:
        found.strings.push(fields.bytes());
        texts.push({ number: fields.number, encoded: fields.encoded() });
        break;
      case AttributeField.tensors:
        found.tensors.push(parseTensor(fields.message("an attribute's tensor"), context));
        break;
      case AttributeField.graphs:
        found.graphs.push(parseGraph(fields.message("a subgraph"), context));
        break;
      default:
        kept.add(fields);
    }
  }
  if (code === 0) code = inferredCode(found);
  const value: AttributeValue = refAttrName ? { type: "opaque", code } : attributeValue(code, found, name);
  // Text that is not UTF-8 is kept, not read.
  const unread = value.type === "opaque" ? [...(kept.fields ?? []), ...texts] : kept.fields;
  const attribute: Attribute = {
    name,
    refAttrName,
    docString,
    value,
    unknown: unread?.length === 0 ? undefined : unread,
  };
  return pinned(attribute, fields, context);
}

/** Files of IR version 1 do not state the type: it is that of the payload. */
function inferredCode(found: Payloads): number {
  if (found.float !== undefined) return AttributeCode.float;
  if (found.int !== undefined) return AttributeCode.int;
  if (found.string !== undefined) return AttributeCode.string;
  if (found.tensor !== undefined) return AttributeCode.tensor;
  if (found.graph !== undefined) return AttributeCode.graph;
  if (found.sparse !== undefined) return AttributeCode.sparse_tensor;
  if (found.floats.length > 0) return AttributeCode.floats;
  if (found.ints.length > 0) return AttributeCode.ints;
  if (found.strings.length > 0) return AttributeCode.strings;
  if (found.tensors.length > 0) return AttributeCode.tensors;
  if (found.graphs.length > 0) return AttributeCode.graphs;
  return 0;
}

function attributeValue(code: number, found: Payloads, name: string): AttributeValue {
  switch (code) {
    case AttributeCode.float:
      return { type: "float", value: found.float ?? 0 };
    case AttributeCode.int:
      return { type: "int", value: found.int ?? 0 };
    case AttributeCode.string: {
      const text = decodeUtf8(found.string ?? new Uint8Array(0));
      return text === null ? { type: "opaque", code } : { type: "string", value: text };
    }
    case AttributeCode.tensor:
      return { type: "tensor", value: found.tensor ?? missing(name, "tensor") };
    case AttributeCode.graph:
      return { type: "graph", value: found.graph ?? missing(name, "graph") };
    case AttributeCode.sparse_tensor:
      return { type: "sparse_tensor", value: found.sparse ?? missing(name, "sparse tensor") };
    case AttributeCode.floats:
      return { type: "floats", value: found.floats };
    case AttributeCode.ints:
      return { type: "ints", value: found.ints };
    case AttributeCode.strings: {
      const texts = found.strings.map(decodeUtf8);
      const readable = texts.filter((text) => text !== null);
      return readable.length < texts.length ? { type: "opaque", code } : { type: "strings", value: readable };
    }
    case AttributeCode.tensors:
      return { type: "tensors", value: found.tensors };
    case AttributeCode.graphs:
      return { type: "graphs", value: found.graphs };
    default:
      return { type: "opaque", code };
  }
}

function missing(name: string, what: string): never {
  throw new ModelError(
    "invalid_attribute",
    `attribute "${name}" is a ${what} by its type but holds none; export the model again`,
  );
}
