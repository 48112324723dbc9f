/**
 * Field numbers of onnx.proto (IR version 11), and which fields may be too large to read.
 */
export const WireType = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

export const ModelField = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  domain: 4,
  modelVersion: 5,
  docString: 6,
  graph: 7,
  opsetImport: 8,
  metadata: 14,
  trainingInfo: 20,
  functions: 25,
  configuration: 26,
} as const;

export const GraphField = {
  node: 1,
  name: 2,
  initializer: 5,
  docString: 10,
  input: 11,
  output: 12,
  valueInfo: 13,
  sparseInitializer: 15,
} as const;

export const FunctionField = {
  name: 1,
  input: 4,
  output: 5,
  node: 7,
  domain: 10,
  overload: 13,
} as const;

export const NodeField = {
  input: 1,
  output: 2,
  name: 3,
  opType: 4,
  attribute: 5,
  docString: 6,
  domain: 7,
  overload: 8,
  deviceConfigurations: 10,
} as const;

/** DeviceConfigurationProto. */
export const ConfigurationField = { name: 1, numDevices: 2, device: 3 } as const;

/** NodeDeviceConfigurationProto. */
export const NodeConfigurationField = { configurationId: 1, shardingSpec: 2, pipelineStage: 3 } as const;

/** ShardingSpecProto. */
export const ShardingField = { tensorName: 1, device: 2, indexToDeviceGroupMap: 3, shardedDim: 4 } as const;

export const AttributeField = {
  name: 1,
  float: 2,
  int: 3,
  string: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  docString: 13,
  type: 20,
  refAttrName: 21,
  sparseTensor: 22,
} as const;

/** AttributeProto.AttributeType. */
export const AttributeCode = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparse_tensor: 11,
} as const;

export const TensorField = {
  dims: 1,
  dataType: 2,
  floatData: 4,
  int32Data: 5,
  stringData: 6,
  int64Data: 7,
  name: 8,
  rawData: 9,
  doubleData: 10,
  uint64Data: 11,
  docString: 12,
  externalData: 13,
  dataLocation: 14,
} as const;

export const SparseField = { values: 1, indices: 2, dims: 3 } as const;

export const ValueInfoField = { name: 1, type: 2, docString: 3 } as const;

export const TypeField = { tensor: 1, sequence: 4, map: 5, sparseTensor: 8, optional: 9 } as const;

/** What the skeleton pass does with a length-delimited field that it knows. */
export type Content = "blob" | "inline" | "graph" | "function" | "node" | "attribute" | "tensor" | "sparse";

export type MessageName = "model" | Exclude<Content, "blob" | "inline">;

const inline = (...numbers: number[]): Record<number, Content> =>
  Object.fromEntries(numbers.map((number) => [number, "inline" as const]));

/**
 * Where tensor bytes can lie. `inline` fields are loaded whole, messages are descended into when they are large,
 * and a blob, or a field that is not listed, stays where it is when it is larger than BLOB_BYTES.
 */
export const CONTENTS: Readonly<Record<MessageName, Readonly<Record<number, Content>>>> = {
  model: { ...inline(2, 3, 4, 6, 8, 14), 7: "graph", 25: "function" },
  graph: { ...inline(2, 10, 11, 12, 13), 1: "node", 5: "tensor", 15: "sparse" },
  function: { ...inline(1, 4, 5, 10, 13), 7: "node" },
  node: { ...inline(1, 2, 3, 4, 6, 7, 8), 5: "attribute" },
  attribute: {
    ...inline(1, 4, 7, 8, 9, 13, 21),
    5: "tensor",
    6: "graph",
    10: "tensor",
    11: "graph",
    22: "sparse",
  },
  tensor: {
    ...inline(1, 6, 8, 12, 13),
    4: "blob",
    5: "blob",
    7: "blob",
    9: "blob",
    10: "blob",
    11: "blob",
  },
  sparse: { 1: "tensor", 2: "tensor", 3: "inline" },
};

/** Tensor payloads and unknown fields up to this many bytes are read with the skeleton. */
export const BLOB_BYTES = 1024;

/** Message nesting, as protobuf itself limits it by default. */
export const MAX_DEPTH = 100;
