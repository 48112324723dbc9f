import type { Bytes, Span } from "./source.ts";

/**
 * The ONNX model as immutable objects, one interface a protobuf message (onnx.proto, IR version 11).
 *
 * Editing means copying: `{ ...node, inputs }`. The reader pins the encoded bytes of each message to its object
 * under {@link ORIGIN}, which is not enumerable and so is lost by every copy. The writer emits an object that
 * still has its origin byte for byte and encodes the rest anew: what an edit does not touch stays as it was,
 * down to non-canonical varints. Fields that this file does not know are kept in `unknown`.
 */
export const ORIGIN: unique symbol = Symbol("encoded bytes this object was read from");

/** A field kept as it came: tag and payload, encoded. */
export interface UnknownField {
  readonly number: number;
  readonly encoded: Bytes;
}

/** The encoded message, and where it was a field: the writer takes over tag and length, too, as they came. */
export interface Origin extends Span {
  readonly fieldNumber?: number;
  /** Offset of the field's tag in `source`. */
  readonly fieldStart?: number;
}

interface Message {
  readonly unknown?: readonly UnknownField[];
  readonly [ORIGIN]?: Origin;
}

export interface Model extends Message {
  readonly irVersion: number;
  readonly opsetImports: readonly OpsetImport[];
  readonly producerName?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: number;
  readonly docString?: string;
  readonly graph: Graph;
  readonly metadata: readonly MetadataEntry[];
  readonly functions: readonly FunctionDefinition[];
}

export interface OpsetImport extends Message {
  /** "" is the standard domain, ai.onnx. */
  readonly domain: string;
  readonly version: number;
}

export interface MetadataEntry extends Message {
  readonly key: string;
  readonly value: string;
}

export interface Graph extends Message {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
  readonly sparseInitializers: readonly SparseTensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly valueInfo: readonly ValueInfo[];
  readonly docString?: string;
}

/** A model-local function (ModelProto.functions). Its body is kept and never edited. */
export interface FunctionDefinition extends Message {
  readonly name: string;
  readonly domain: string;
  readonly overload?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
}

export interface Node extends Message {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly overload?: string;
  /** Value names; "" stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Attribute[];
  readonly docString?: string;
}

export interface Attribute extends Message {
  readonly name: string;
  /** Inside a function body: the attribute of the call that gives the value. */
  readonly refAttrName?: string;
  readonly docString?: string;
  readonly value: AttributeValue;
}

/**
 * Integers are JavaScript numbers: those past 2^53 (Slice's INT64_MAX) are rounded for us, but stay exact in the
 * file, because an attribute that is not edited is written from its origin.
 */
export type AttributeValue =
  | { readonly type: "float"; readonly value: number }
  | { readonly type: "int"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "tensor"; readonly value: Tensor }
  | { readonly type: "graph"; readonly value: Graph }
  | { readonly type: "sparse_tensor"; readonly value: SparseTensor }
  | { readonly type: "floats"; readonly value: readonly number[] }
  | { readonly type: "ints"; readonly value: readonly number[] }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "tensors"; readonly value: readonly Tensor[] }
  | { readonly type: "graphs"; readonly value: readonly Graph[] }
  /** type_proto, type_protos, sparse_tensors, or a reference to a function's attribute: kept, not read. */
  | { readonly type: "opaque"; readonly code: number };

export interface ValueInfo extends Message {
  readonly name: string;
  readonly type?: ValueType;
  readonly docString?: string;
}

/** A dimension: its size, its symbol ("batch"), or null where nothing is said. */
export type Dim = number | string | null;

export type ValueType = Message & ValueKind;

type ValueKind =
  | { readonly kind: "tensor"; readonly dataType: number; readonly shape?: readonly Dim[] }
  | { readonly kind: "sparse_tensor"; readonly dataType: number; readonly shape?: readonly Dim[] }
  | { readonly kind: "sequence"; readonly element: ValueType }
  | { readonly kind: "optional"; readonly element: ValueType }
  | { readonly kind: "map"; readonly keyType: number; readonly value: ValueType }
  | { readonly kind: "opaque" };

export interface Tensor extends Message {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly data: TensorData;
  readonly docString?: string;
}

export type TensorData =
  /** raw_data: little endian, fixed width. */
  | { readonly kind: "raw"; readonly bytes: Bytes }
  /** float_data, int32_data, …: the concatenated payloads of the packed field (number below), still encoded. */
  | { readonly kind: "typed"; readonly field: number; readonly bytes: Bytes }
  /** string_data. */
  | { readonly kind: "strings"; readonly values: readonly Uint8Array[] }
  /** external_data; `span` is null when the file is not there (plans need no weights). */
  | { readonly kind: "external"; readonly location: string; readonly span: Span | null };

export interface SparseTensor extends Message {
  /** Its name is the name of the whole; dims [NNZ]. */
  readonly values: Tensor;
  /** int64, [NNZ] linear or [NNZ, rank]. */
  readonly indices: Tensor;
  readonly dims: readonly number[];
}
