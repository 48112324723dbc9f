import { DataType } from "./data-type.ts";
import { Encoder } from "./encoder.ts";
import { TensorField } from "./fields.ts";
import type { Model, Tensor, UnknownField } from "./model.ts";
import { type Bytes, byteLength } from "./source.ts";

/** A model without the numbers of its large initializers, and files that have them. */
export interface Detached {
  readonly model: Model;
  readonly files: readonly DetachedFile[];
}

export interface DetachedFile {
  /** As the tensor's external_data says. */
  readonly path: string;
  /** The whole file: little endian, as in raw_data. */
  readonly bytes: Bytes;
}

/** Smaller tensors stay inside: they may be sizes that a runtime reads before it reads files. */
const LEAST_BYTES = 16 * 1024;
/** TensorProto.DataLocation. */
const EXTERNAL = 1;

/**
 * Puts each large initializer of the model's own graph into a file of its own. The numbers stay as they are; those that
 * are stored as varints or strings stay inside.
 */
export function detached(model: Model): Detached {
  const files: DetachedFile[] = [];
  const initializers = model.graph.initializers.map((tensor): Tensor => {
    const payload = rawPayload(tensor);
    if (payload === null || byteLength(payload) < LEAST_BYTES) return tensor;
    const path = `weight-${files.length}`;
    files.push({ path, bytes: payload });
    const { name, dataType, dims } = tensor;
    return {
      name,
      dataType,
      dims,
      data: { kind: "raw", bytes: new Uint8Array(0) },
      unknown: [reference(path, byteLength(payload))],
    };
  });
  const { irVersion, opsetImports, functions, metadata } = model;
  const { name, nodes, sparseInitializers, inputs, outputs, valueInfo } = model.graph;
  const graph = { name, nodes, initializers, sparseInitializers, inputs, outputs, valueInfo };
  return { model: { irVersion, opsetImports, functions, metadata, graph }, files };
}

/** Where the tensor's numbers lie as raw_data has them; null where they lie in another encoding, or nowhere. */
export function rawPayload({ dataType, data }: Tensor): Bytes | null {
  if (data.kind === "raw") return data.bytes;
  if (data.kind === "external") return data.span;
  const fixed = dataType === DataType.FLOAT || dataType === DataType.DOUBLE;
  return data.kind === "typed" && fixed ? data.bytes : null;
}

/** external_data and data_location of a tensor, as the writer takes fields that it does not know. */
function reference(location: string, length: number): UnknownField {
  const encoder = new Encoder();
  for (const [key, value] of Object.entries({ location, offset: "0", length: `${length}` })) {
    const entry = new Encoder();
    entry.string(1, key);
    entry.string(2, value);
    encoder.message(TensorField.externalData, entry);
  }
  encoder.int(TensorField.dataLocation, EXTERNAL);
  return { number: TensorField.externalData, encoded: encoder.bytesSoFar() };
}
