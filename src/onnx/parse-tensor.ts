import { ModelError } from "./errors.ts";
import { externalSpan } from "./external.ts";
import { SparseField, TensorField, WireType } from "./fields.ts";
import type { SparseTensor, Tensor, TensorData } from "./model.ts";
import { Kept, once, type ParseContext, payloadOf, pinned } from "./parse-context.ts";
import { type Bytes, byteLength, concatenated } from "./source.ts";
import type { Fields } from "./wire.ts";

const TYPED = new Set<number>([
  TensorField.floatData,
  TensorField.int32Data,
  TensorField.int64Data,
  TensorField.doubleData,
  TensorField.uint64Data,
]);

const EXTERNAL = 1;

/** Reads a TensorProto; its payload stays a span when it is large. */
export function parseTensor(fields: Fields, context: ParseContext): Tensor {
  let name = "";
  let dataType = 0;
  let docString: string | undefined;
  let raw: Bytes | undefined;
  let location = 0;
  const dims: number[] = [];
  const strings: Uint8Array[] = [];
  const typed = new Map<number, Bytes[]>();
  const external = new Map<string, string>();
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case TensorField.name:
        name = fields.string();
        break;
      case TensorField.dataType:
        dataType = fields.int32();
        break;
      case TensorField.dims:
        fields.ints(dims);
        break;
      case TensorField.rawData:
        raw = payloadOf(fields, context);
        break;
      case TensorField.stringData:
        strings.push(fields.bytes());
        break;
      case TensorField.docString:
        docString = fields.string();
        break;
      case TensorField.externalData:
        parseEntry(fields.message("external data"), external);
        break;
      case TensorField.dataLocation:
        location = fields.int32();
        break;
      default:
        if (TYPED.has(fields.number)) {
          const payloads = typed.get(fields.number) ?? [];
          typed.set(fields.number, payloads);
          payloads.push(fields.wireType === WireType.BYTES ? payloadOf(fields, context) : element(fields));
        } else kept.add(fields);
    }
  }
  const data: TensorData[] = [];
  if (location === EXTERNAL) {
    fields.tally.externalTensors++;
    data.push(externalSpan({ name, dataType, dims }, external, context));
  }
  if (raw !== undefined && byteLength(raw) > 0) data.push({ kind: "raw", bytes: raw });
  if (strings.length > 0) data.push({ kind: "strings", values: strings });
  for (const [field, payloads] of typed) {
    const bytes = concatenated(payloads);
    if (byteLength(bytes) > 0) data.push({ kind: "typed", field, bytes });
  }
  if (data.length > 1) {
    throw new ModelError(
      "ambiguous_tensor_data",
      `tensor "${name}" has its data in more than one field; export the model again`,
    );
  }
  const tensor: Tensor = {
    name,
    dataType,
    dims,
    data: data[0] ?? { kind: "raw", bytes: new Uint8Array(0) },
    docString,
    unknown: kept.fields,
  };
  return pinned(tensor, fields, context);
}

export function parseSparseTensor(fields: Fields, context: ParseContext): SparseTensor {
  let values: Tensor | undefined;
  let indices: Tensor | undefined;
  const dims: number[] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case SparseField.values:
        once(values, fields);
        values = parseTensor(fields.message("a sparse tensor's values"), context);
        break;
      case SparseField.indices:
        once(indices, fields);
        indices = parseTensor(fields.message("a sparse tensor's indices"), context);
        break;
      case SparseField.dims:
        fields.ints(dims);
        break;
      default:
        kept.add(fields);
    }
  }
  if (values === undefined || indices === undefined) {
    throw new ModelError(
      "invalid_sparse_tensor",
      `sparse tensor "${values?.name ?? ""}" lacks its ${values === undefined ? "values" : "indices"}; export the model again`,
    );
  }
  const sparse: SparseTensor = { values, indices, dims, unknown: kept.fields };
  return pinned(sparse, fields, context);
}

/** One number of a repeated field that is not packed, as it would stand in the packed field. */
function element(fields: Fields): Uint8Array {
  const wanted =
    fields.number === TensorField.floatData
      ? WireType.FIXED32
      : fields.number === TensorField.doubleData
        ? WireType.FIXED64
        : WireType.VARINT;
  fields.expect(wanted);
  return fields.value();
}

function parseEntry(fields: Fields, into: Map<string, string>): void {
  let key = "";
  let value = "";
  while (fields.next()) {
    if (fields.number === 1) key = fields.string();
    else if (fields.number === 2) value = fields.string();
  }
  into.set(key, value);
}
