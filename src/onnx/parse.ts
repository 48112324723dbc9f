import { ModelError } from "./errors.ts";
import { FunctionField, GraphField, ModelField, NodeField, ValueInfoField } from "./fields.ts";
import type {
  Graph,
  MetadataEntry,
  Model,
  Node,
  OpsetImport,
  SparseTensor,
  Tensor,
  ValueInfo,
} from "./model.ts";
import { parseAttribute } from "./parse-attribute.ts";
import { Kept, once, type ParseContext, pinned } from "./parse-context.ts";
import { parseSparseTensor, parseTensor } from "./parse-tensor.ts";
import { parseType } from "./parse-type.ts";
import type { Fields } from "./wire.ts";

type FunctionDefinition = Model["functions"][number];

/** Reads a ModelProto whose skeleton is in memory. */
export function parseModel(fields: Fields, context: ParseContext): Model {
  let irVersion = 0;
  let producerName: string | undefined;
  let producerVersion: string | undefined;
  let domain: string | undefined;
  let modelVersion: number | undefined;
  let docString: string | undefined;
  let graph: Graph | undefined;
  const opsetImports: OpsetImport[] = [];
  const metadata: MetadataEntry[] = [];
  const functions: FunctionDefinition[] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case ModelField.irVersion:
        irVersion = fields.int();
        break;
      case ModelField.producerName:
        producerName = fields.string();
        break;
      case ModelField.producerVersion:
        producerVersion = fields.string();
        break;
      case ModelField.domain:
        domain = fields.string();
        break;
      case ModelField.modelVersion:
        modelVersion = fields.int();
        break;
      case ModelField.docString:
        docString = fields.string();
        break;
      case ModelField.graph:
        once(graph, fields);
        graph = parseGraph(fields.message("the graph"), context);
        break;
      case ModelField.opsetImport:
        opsetImports.push(parseOpset(fields.message("an opset import"), context));
        break;
      case ModelField.metadata:
        metadata.push(parseMetadata(fields.message("a metadata entry"), context));
        break;
      case ModelField.functions:
        functions.push(parseFunction(fields.message("a function"), context));
        break;
      default:
        kept.add(fields);
    }
  }
  if (graph === undefined) {
    throw new ModelError(
      "missing_graph",
      "the file has no graph, so it is not an ONNX model; export the model, not only its weights or a training state",
    );
  }
  const model: Model = {
    irVersion,
    opsetImports,
    producerName,
    producerVersion,
    domain,
    modelVersion,
    docString,
    graph,
    metadata,
    functions,
    unknown: kept.fields,
  };
  return pinned(model, fields, context);
}

export function parseGraph(fields: Fields, context: ParseContext): Graph {
  let name = "";
  let docString: string | undefined;
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  const sparseInitializers: SparseTensor[] = [];
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  const valueInfo: ValueInfo[] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case GraphField.name:
        name = fields.string();
        break;
      case GraphField.docString:
        docString = fields.string();
        break;
      case GraphField.node:
        nodes.push(parseNode(fields.message("a node"), context));
        break;
      case GraphField.initializer:
        initializers.push(parseTensor(fields.message("an initializer"), context));
        break;
      case GraphField.sparseInitializer:
        sparseInitializers.push(parseSparseTensor(fields.message("a sparse initializer"), context));
        break;
      case GraphField.input:
        inputs.push(parseValueInfo(fields.message("a graph input"), context));
        break;
      case GraphField.output:
        outputs.push(parseValueInfo(fields.message("a graph output"), context));
        break;
      case GraphField.valueInfo:
        valueInfo.push(parseValueInfo(fields.message("a value's type"), context));
        break;
      default:
        kept.add(fields);
    }
  }
  const graph: Graph = {
    name,
    nodes,
    initializers,
    sparseInitializers,
    inputs,
    outputs,
    valueInfo,
    docString,
    unknown: kept.fields,
  };
  return pinned(graph, fields, context);
}

function parseNode(fields: Fields, context: ParseContext): Node {
  let name = "";
  let opType = "";
  let domain = "";
  let overload: string | undefined;
  let docString: string | undefined;
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: Node["attributes"][number][] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case NodeField.input:
        inputs.push(fields.string());
        break;
      case NodeField.output:
        outputs.push(fields.string());
        break;
      case NodeField.name:
        name = fields.string();
        break;
      case NodeField.opType:
        opType = fields.string();
        break;
      case NodeField.attribute:
        attributes.push(parseAttribute(fields.message("an attribute"), context, parseGraph));
        break;
      case NodeField.docString:
        docString = fields.string();
        break;
      case NodeField.domain:
        domain = fields.string();
        break;
      case NodeField.overload:
        overload = fields.string();
        break;
      default:
        kept.add(fields);
    }
  }
  const node: Node = {
    name,
    opType,
    domain,
    overload,
    inputs,
    outputs,
    attributes,
    docString,
    unknown: kept.fields,
  };
  return pinned(node, fields, context);
}

function parseFunction(fields: Fields, context: ParseContext): FunctionDefinition {
  let name = "";
  let domain = "";
  let overload: string | undefined;
  const inputs: string[] = [];
  const outputs: string[] = [];
  const nodes: Node[] = [];
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case FunctionField.name:
        name = fields.string();
        break;
      case FunctionField.input:
        inputs.push(fields.string());
        break;
      case FunctionField.output:
        outputs.push(fields.string());
        break;
      case FunctionField.node:
        nodes.push(parseNode(fields.message("a node of a function"), context));
        break;
      case FunctionField.domain:
        domain = fields.string();
        break;
      case FunctionField.overload:
        overload = fields.string();
        break;
      default:
        kept.add(fields);
    }
  }
  const definition: FunctionDefinition = {
    name,
    domain,
    overload,
    inputs,
    outputs,
    nodes,
    unknown: kept.fields,
  };
  return pinned(definition, fields, context);
}

function parseOpset(fields: Fields, context: ParseContext): OpsetImport {
  let domain = "";
  let version = 0;
  const kept = new Kept(context);
  while (fields.next()) {
    if (fields.number === 1) domain = fields.string();
    else if (fields.number === 2) version = fields.int();
    else kept.add(fields);
  }
  const opset: OpsetImport = { domain, version, unknown: kept.fields };
  return pinned(opset, fields, context);
}

function parseMetadata(fields: Fields, context: ParseContext): MetadataEntry {
  let key = "";
  let value = "";
  const kept = new Kept(context);
  while (fields.next()) {
    if (fields.number === 1) key = fields.string();
    else if (fields.number === 2) value = fields.string();
    else kept.add(fields);
  }
  const entry: MetadataEntry = { key, value, unknown: kept.fields };
  return pinned(entry, fields, context);
}

function parseValueInfo(fields: Fields, context: ParseContext): ValueInfo {
  let name = "";
  let type: ValueInfo["type"];
  let docString: string | undefined;
  const kept = new Kept(context);
  while (fields.next()) {
    switch (fields.number) {
      case ValueInfoField.name:
        name = fields.string();
        break;
      case ValueInfoField.type:
        once(type, fields);
        type = parseType(fields.message("a type"), context);
        break;
      case ValueInfoField.docString:
        docString = fields.string();
        break;
      default:
        kept.add(fields);
    }
  }
  const info: ValueInfo = { name, type, docString, unknown: kept.fields };
  return pinned(info, fields, context);
}
