import { mapGraphs, withAttributes } from "./edit.ts";
import { BLOB_BYTES } from "./fields.ts";
import type { Graph, Model, Node, SparseTensor, Tensor } from "./model.ts";
import { byteLength, type Span } from "./source.ts";

/** Names the file that holds a payload, and where in it; undefined where the model's file is to hold it. */
export type Locate = (payload: Span) => { readonly location: string; readonly span: Span } | undefined;

/**
 * The model with large payloads of initializers and Constant nodes as external data of the files that `locate` names,
 * for `encodeModel` with `external: "named"`: a model of any size is a small file then, and nothing is copied.
 */
export function linkTensors(model: Model, locate: Locate): Model {
  const tensor = (one: Tensor): Tensor => {
    const payload = payloadOf(one);
    const found = payload && locate(payload);
    if (found) return { ...one, data: { kind: "external", ...found } };
    return payload && one.data.kind === "external" ? { ...one, data: { kind: "raw", bytes: payload } } : one;
  };
  const sparse = (one: SparseTensor): SparseTensor => {
    const [values, indices] = [tensor(one.values), tensor(one.indices)];
    return values === one.values && indices === one.indices ? one : { ...one, values, indices };
  };
  const node = (one: Node): Node => {
    if (one.opType !== "Constant") return one;
    const [attribute] = one.attributes;
    if (attribute?.value.type !== "tensor") return one;
    const value = tensor(attribute.value.value);
    return value === attribute.value.value
      ? one
      : withAttributes(one, { [attribute.name]: { type: "tensor", value } });
  };
  const graph = mapGraphs(model.graph, (one): Graph => {
    const initializers = one.initializers.map(tensor);
    const sparseInitializers = one.sparseInitializers.map(sparse);
    const nodes = one.nodes.map(node);
    const changed =
      differs(initializers, one.initializers) ||
      differs(sparseInitializers, one.sparseInitializers) ||
      differs(nodes, one.nodes);
    return changed ? { ...one, initializers, sparseInitializers, nodes } : one;
  });
  return graph === model.graph ? model : { ...model, graph };
}

/** External data is raw: what stands in a typed field stays where it is. */
function payloadOf({ data }: Tensor): Span | null {
  if (data.kind === "external") return data.span;
  if (data.kind !== "raw" || data.bytes instanceof Uint8Array) return null;
  return byteLength(data.bytes) > BLOB_BYTES ? data.bytes : null;
}

function differs(after: readonly unknown[], before: readonly unknown[]): boolean {
  return after.some((one, i) => one !== before[i]);
}
