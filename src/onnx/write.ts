import { Encoder } from "./encoder.ts";
import { ModelError } from "./errors.ts";
import {
  AttributeCode,
  AttributeField,
  FunctionField,
  GraphField,
  ModelField,
  NodeField,
  SparseField,
  TensorField,
  TypeField,
  ValueInfoField,
} from "./fields.ts";
import {
  type Attribute,
  type FunctionDefinition,
  type Graph,
  type MetadataEntry,
  type Model,
  type Node,
  type OpsetImport,
  ORIGIN,
  type Origin,
  type SparseTensor,
  type Tensor,
  type UnknownField,
  type ValueInfo,
  type ValueType,
} from "./model.ts";
import { type ByteSource, byteLength, type Span, sourceOf, wholeOf } from "./source.ts";

/** Protobuf's limit for one message; files above it load in no ONNX tool. */
const MAX_MODEL_BYTES = 2 ** 31 - 1;
/** TensorProto.DataLocation. */
const EXTERNAL = 1;

/** What becomes of tensors whose data lies in other files: it is taken into the file, or they go on naming it. */
export type ExternalData = "embedded" | "named";

/**
 * A model as one file. Objects as they were read are taken over byte for byte, and payloads are read where they lie as they are asked for.
 * @throws ModelError `too_large_to_write` past 2 GiB, `external_data_missing` where tensor bytes are not there.
 */
export function encodeModel(model: Model, external: ExternalData = "embedded"): ByteSource {
  const encoder = encoderOf(model, external);
  if (encoder.size > MAX_MODEL_BYTES) {
    throw new ModelError(
      "too_large_to_write",
      `the model would have ${encoder.size} bytes, and an ONNX file can have at most ${MAX_MODEL_BYTES}; compress it further or split it`,
    );
  }
  return sourceOf(encoder.finish());
}

/** Bytes that the model with all its data takes, whether or not one file can have so many. */
export function modelSize(model: Model): number {
  return encoderOf(model, "embedded").size;
}

/** Whether a file of the model with all its data can be read by ONNX tools. */
export function fitsOneFile(model: Model): boolean {
  return modelSize(model) <= MAX_MODEL_BYTES;
}

function encoderOf(model: Model, external: ExternalData): ModelEncoder {
  const encoder = new ModelEncoder(external);
  const origin = model[ORIGIN];
  if (origin !== undefined) encoder.raw(origin);
  else writeModel(encoder, model);
  return encoder;
}

/** The model as a whole file in memory. */
export function modelBytes(model: Model): Promise<Uint8Array> {
  return wholeOf(encodeModel(model));
}

/** An encoder that knows what becomes of external data. */
class ModelEncoder extends Encoder {
  readonly external: ExternalData;

  constructor(external: ExternalData) {
    super();
    this.external = external;
  }
}

interface Encodable {
  readonly unknown?: readonly UnknownField[];
  readonly [ORIGIN]?: Origin;
}

/** Writes a field that holds a message: as it came, or anew. */
function child<T extends Encodable>(
  into: ModelEncoder,
  field: number,
  object: T,
  write: (encoder: ModelEncoder, object: T) => void,
): void {
  const origin = object[ORIGIN];
  if (origin === undefined) {
    const message = new ModelEncoder(into.external);
    write(message, object);
    into.message(field, message);
  } else if (origin.fieldNumber === field && origin.fieldStart !== undefined) {
    const { source, fieldStart: offset } = origin;
    into.raw({ source, offset, length: origin.offset + origin.length - offset });
  } else into.bytes(field, origin);
}

function children<T extends Encodable>(
  into: ModelEncoder,
  field: number,
  objects: readonly T[],
  write: (encoder: ModelEncoder, object: T) => void,
): void {
  for (const object of objects) child(into, field, object, write);
}

function text(into: ModelEncoder, field: number, value: string | undefined): void {
  if (value) into.string(field, value);
}

function unknown(into: ModelEncoder, object: Encodable): void {
  for (const field of object.unknown ?? []) into.raw(field.encoded);
}

function writeModel(into: ModelEncoder, model: Model): void {
  into.int(ModelField.irVersion, model.irVersion);
  text(into, ModelField.producerName, model.producerName);
  text(into, ModelField.producerVersion, model.producerVersion);
  text(into, ModelField.domain, model.domain);
  if (model.modelVersion) into.int(ModelField.modelVersion, model.modelVersion);
  text(into, ModelField.docString, model.docString);
  child(into, ModelField.graph, model.graph, writeGraph);
  children(into, ModelField.opsetImport, model.opsetImports, writeOpset);
  children(into, ModelField.metadata, model.metadata, writeMetadata);
  children(into, ModelField.functions, model.functions, writeFunction);
  unknown(into, model);
}

function writeGraph(into: ModelEncoder, graph: Graph): void {
  children(into, GraphField.node, graph.nodes, writeNode);
  text(into, GraphField.name, graph.name);
  children(into, GraphField.initializer, graph.initializers, writeTensor);
  text(into, GraphField.docString, graph.docString);
  children(into, GraphField.input, graph.inputs, writeValueInfo);
  children(into, GraphField.output, graph.outputs, writeValueInfo);
  children(into, GraphField.valueInfo, graph.valueInfo, writeValueInfo);
  children(into, GraphField.sparseInitializer, graph.sparseInitializers, writeSparseTensor);
  unknown(into, graph);
}

function writeNode(into: ModelEncoder, node: Node): void {
  for (const input of node.inputs) into.string(NodeField.input, input);
  for (const output of node.outputs) into.string(NodeField.output, output);
  text(into, NodeField.name, node.name);
  text(into, NodeField.opType, node.opType);
  children(into, NodeField.attribute, node.attributes, writeAttribute);
  text(into, NodeField.docString, node.docString);
  text(into, NodeField.domain, node.domain);
  text(into, NodeField.overload, node.overload);
  unknown(into, node);
}

function writeFunction(into: ModelEncoder, definition: FunctionDefinition): void {
  text(into, FunctionField.name, definition.name);
  for (const input of definition.inputs) into.string(FunctionField.input, input);
  for (const output of definition.outputs) into.string(FunctionField.output, output);
  children(into, FunctionField.node, definition.nodes, writeNode);
  text(into, FunctionField.domain, definition.domain);
  text(into, FunctionField.overload, definition.overload);
  unknown(into, definition);
}

function writeOpset(into: ModelEncoder, opset: OpsetImport): void {
  text(into, 1, opset.domain);
  into.int(2, opset.version);
  unknown(into, opset);
}

function writeMetadata(into: ModelEncoder, entry: MetadataEntry): void {
  text(into, 1, entry.key);
  text(into, 2, entry.value);
  unknown(into, entry);
}

function writeAttribute(into: ModelEncoder, attribute: Attribute): void {
  const { value } = attribute;
  text(into, AttributeField.name, attribute.name);
  switch (value.type) {
    case "float":
      into.float(AttributeField.float, value.value);
      break;
    case "int":
      into.int(AttributeField.int, value.value);
      break;
    case "string":
      into.string(AttributeField.string, value.value);
      break;
    case "tensor":
      child(into, AttributeField.tensor, value.value, writeTensor);
      break;
    case "graph":
      child(into, AttributeField.graph, value.value, writeGraph);
      break;
    case "sparse_tensor":
      child(into, AttributeField.sparseTensor, value.value, writeSparseTensor);
      break;
    case "floats":
      into.floats(AttributeField.floats, value.value);
      break;
    case "ints":
      into.ints(AttributeField.ints, value.value);
      break;
    case "strings":
      for (const string of value.value) into.string(AttributeField.strings, string);
      break;
    case "tensors":
      children(into, AttributeField.tensors, value.value, writeTensor);
      break;
    case "graphs":
      children(into, AttributeField.graphs, value.value, writeGraph);
      break;
    case "opaque":
      break;
  }
  text(into, AttributeField.docString, attribute.docString);
  into.int(AttributeField.type, value.type === "opaque" ? value.code : AttributeCode[value.type]);
  text(into, AttributeField.refAttrName, attribute.refAttrName);
  unknown(into, attribute);
}

function writeTensor(into: ModelEncoder, tensor: Tensor): void {
  into.ints(TensorField.dims, tensor.dims);
  into.int(TensorField.dataType, tensor.dataType);
  const { data } = tensor;
  switch (data.kind) {
    case "raw":
      if (byteLength(data.bytes) > 0) into.bytes(TensorField.rawData, data.bytes);
      break;
    case "typed":
      into.bytes(data.field, data.bytes);
      break;
    case "strings":
      for (const value of data.values) into.bytes(TensorField.stringData, value);
      break;
    case "external":
      if (data.span === null) {
        throw new ModelError(
          "external_data_missing",
          `tensor "${tensor.name}" has its data in the file "${data.location}", which did not come with the model; upload both together`,
        );
      }
      if (into.external === "named") nameExternal(into, data.location, data.span);
      else into.bytes(TensorField.rawData, data.span);
      break;
  }
  text(into, TensorField.name, tensor.name);
  text(into, TensorField.docString, tensor.docString);
  unknown(into, tensor);
}

function nameExternal(into: Encoder, location: string, { offset, length }: Span): void {
  for (const [key, value] of Object.entries({ location, offset, length })) {
    const entry = new Encoder();
    entry.string(1, key);
    entry.string(2, String(value));
    into.message(TensorField.externalData, entry);
  }
  into.int(TensorField.dataLocation, EXTERNAL);
}

function writeSparseTensor(into: ModelEncoder, sparse: SparseTensor): void {
  child(into, SparseField.values, sparse.values, writeTensor);
  child(into, SparseField.indices, sparse.indices, writeTensor);
  into.ints(SparseField.dims, sparse.dims);
  unknown(into, sparse);
}

function writeValueInfo(into: ModelEncoder, info: ValueInfo): void {
  text(into, ValueInfoField.name, info.name);
  if (info.type !== undefined) child(into, ValueInfoField.type, info.type, writeType);
  text(into, ValueInfoField.docString, info.docString);
  unknown(into, info);
}

function writeType(into: ModelEncoder, type: ValueType): void {
  const kind = new ModelEncoder(into.external);
  switch (type.kind) {
    case "tensor":
    case "sparse_tensor":
      kind.int(1, type.dataType);
      if (type.shape !== undefined) {
        const shape = new Encoder();
        for (const dim of type.shape) {
          const dimension = new Encoder();
          if (typeof dim === "number") dimension.int(1, dim);
          else if (dim !== null) dimension.string(2, dim);
          shape.message(1, dimension);
        }
        kind.message(2, shape);
      }
      into.message(type.kind === "tensor" ? TypeField.tensor : TypeField.sparseTensor, kind);
      break;
    case "sequence":
    case "optional":
      child(kind, 1, type.element, writeType);
      into.message(type.kind === "sequence" ? TypeField.sequence : TypeField.optional, kind);
      break;
    case "map":
      kind.int(1, type.keyType);
      child(kind, 2, type.value, writeType);
      into.message(TypeField.map, kind);
      break;
    case "opaque":
      break;
  }
  unknown(into, type);
}
